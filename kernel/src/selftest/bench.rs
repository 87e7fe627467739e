//! What things cost, in cycles.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::hint::black_box;

use linux_object::hal::{Hal, MachineThread, PageFlags, Pte, Trap, UserClock};
use linux_object::ids::UserAddr;

use super::user::{CODE, DATA, Program};
use crate::arch::features::rdtsc;
use crate::kprintln;
use crate::sync::Lock;

const ROUNDS: u64 = 1000;
const RW: PageFlags = PageFlags::READ.union(PageFlags::WRITE);

fn report(name: &str, cycles: u64, rounds: u64) {
    kprintln!("{name:<44} {:>6}.{}", cycles / rounds, cycles * 10 / rounds % 10);
}

fn time(name: &str, mut f: impl FnMut()) {
    f();
    let start = rdtsc();
    for _ in 0..ROUNDS {
        f();
    }
    report(name, rdtsc() - start, ROUNDS);
}

/// Prints the table.
pub fn run(hal: &dyn Hal) {
    time("(empty loop)", || ());
    time("now", || {
        black_box(hal.now());
    });
    time("alloc + free 64 bytes", || drop(black_box(Box::new([0u64; 8]))));
    time("alloc + free 1000 bytes", || {
        // SAFETY: a layout that is not empty, freed at once.
        unsafe {
            let layout = core::alloc::Layout::from_size_align_unchecked(1000, 8);
            let block = black_box(alloc::alloc::alloc(layout));
            alloc::alloc::dealloc(block, layout);
        }
    });
    time("alloc_frame + put_frame", || {
        let frame = hal.alloc_frame(false).expect("a frame");
        hal.put_frame(frame);
    });
    time("alloc_frame zeroed + put_frame", || {
        let frame = hal.alloc_frame(true).expect("a frame");
        hal.put_frame(frame);
    });
    let (a, b) = (
        hal.alloc_frame(true).expect("a frame"),
        hal.alloc_frame(true).expect("a frame"),
    );
    time("copy_frame", || hal.copy_frame(a, b));
    user(hal);
    space(hal);
    switch(hal);
}

fn user(hal: &dyn Hal) {
    let mut program = Program::new(hal, 0);
    assert_eq!(program.run(hal), Trap::Syscall);
    time("system call round trip (with 2 user instr.)", || {
        black_box(hal.run_user(&mut program.regs, &UserClock::default()));
    });
    time("the same by iret", || {
        program.regs.rcx = 0;
        black_box(hal.run_user(&mut program.regs, &UserClock::default()));
    });
    program.regs.rip = CODE + 0x140;
    program.regs.rdi = 0x1000_0000;
    program.regs.rsi = u64::MAX;
    time("page fault: trap, frame, map (and 3 user instr.)", || {
        let Trap::PageFault { addr, .. } = hal.run_user(&mut program.regs, &UserClock::default()) else {
            panic!("not a page fault");
        };
        let frame = hal.alloc_frame(true).expect("a frame");
        program
            .space
            .map(addr.page(), Pte { frame, flags: RW })
            .expect("a table");
    });
    let mut buffer = [0u8; 4096];
    for len in [1, 8, 16, 64, 144, 256, 1024, 4096] {
        time(
            ["copy_from_user 1", "8", "16", "64", "144", "256", "1024", "4096"][[
                1, 8, 16, 64, 144, 256, 1024, 4096,
            ]
            .iter()
            .position(|&l| l == len)
            .unwrap_or(0)],
            || {
                let _ = black_box(hal.copy_from_user(&mut buffer[..len], UserAddr(DATA)));
            },
        );
    }
    hal.copy_to_user(UserAddr(DATA), b"/usr/share/doc/README\0")
        .expect("user memory");
    time("strncpy_from_user 21 bytes", || {
        let _ = black_box(hal.strncpy_from_user(&mut buffer, UserAddr(DATA)));
    });
    time("load_user_u32", || {
        let _ = black_box(hal.load_user_u32(UserAddr(DATA)));
    });
    program.end(hal);
}

fn space(hal: &dyn Hal) {
    let parent = hal.new_address_space().expect("a space");
    let pages = 500u64;
    let range = UserAddr(0x1000_0000)..UserAddr(0x1000_0000 + pages * 4096);
    let start = rdtsc();
    for i in 0..pages {
        let frame = hal.alloc_frame(false).expect("a frame");
        let at = range.start.offset(i * 4096);
        parent.map(at, Pte { frame, flags: RW }).expect("a table");
    }
    report("alloc_frame + map, per page", rdtsc() - start, pages);
    time("query", || {
        black_box(parent.query(range.start));
    });
    let start = rdtsc();
    let child = hal.new_address_space().expect("a space");
    report("new_address_space", rdtsc() - start, 1);
    let start = rdtsc();
    parent.update(range.clone(), &mut |at, pte| {
        hal.get_frame(pte.frame);
        let flags = PageFlags::READ;
        child
            .map(
                at,
                Pte {
                    frame: pte.frame,
                    flags,
                },
            )
            .expect("a table");
        Some(flags)
    });
    report("fork: update + get_frame + map, per page", rdtsc() - start, pages);
    for space in [child, parent] {
        let start = rdtsc();
        space.unmap(range.clone(), &mut |_, pte| {
            hal.put_frame(pte.frame);
        });
        space.flush(range.clone());
        report("unmap + put_frame, per page", rdtsc() - start, pages);
        let start = rdtsc();
        drop(space);
        report("drop of an address space", rdtsc() - start, 1);
    }
}

fn switch(hal: &dyn Hal) {
    static PAIR: Lock<Option<[Arc<dyn MachineThread>; 2]>> = Lock::new(None);
    let boot = hal.boot_thread();
    let mut create = 0;
    let mut thread = None;
    for _ in 0..3 {
        drop(thread.take());
        let start = rdtsc();
        thread = Some(
            hal.new_thread(Box::new(|| {
                let hal: &dyn Hal = &crate::hal::Machine;
                let Some([boot, me]) = PAIR.lock().take() else {
                    panic!("no threads");
                };
                me.reset_user_state();
                loop {
                    hal.switch(&me, &boot);
                }
            }))
            .expect("a thread"),
        );
        create = rdtsc() - start;
    }
    report("new_thread, stack cached", create, 1);
    let thread = thread.expect("a thread");
    *PAIR.lock() = Some([boot.clone(), thread.clone()]);
    boot.reset_user_state();
    hal.switch(&boot, &thread);
    let start = rdtsc();
    for _ in 0..ROUNDS {
        hal.switch(&boot, &thread);
    }
    report("switch between user threads", rdtsc() - start, 2 * ROUNDS);
    let first = hal.new_address_space().expect("a space");
    let second = hal.new_address_space().expect("a space");
    let start = rdtsc();
    for _ in 0..ROUNDS {
        hal.activate(Some(&first));
        hal.activate(Some(&second));
    }
    report("activate", rdtsc() - start, 2 * ROUNDS);
    hal.activate(None);
}
