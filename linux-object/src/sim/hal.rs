//! The ports, implemented by the simulated machine.

use alloc::sync::Arc;
use alloc::vec;
use core::sync::atomic::Ordering;

use super::machine::{Machine, Outcome, here};
use super::memory::SimSpace;
use super::thread::{Answer, HANDLER_BASE, PROGRAM_RIP, Request, SimThread};
use super::{lockdep, thread_arc};
use crate::bail;
use crate::error::Result;
use crate::hal::{
    Access, AddressSpace, Clock, Console, Cpu, Entropy, Entry, FrameStats, Frames, Hal, MachineThread, Nics,
    Power, Switch, Trap, UserClock, UserMemory, UserRegs, VdsoClock,
};
use crate::ids::{CpuId, Frame, PAGE_SIZE, USER_END, UserAddr};
use crate::time::Ktime;

impl Clock for Machine {
    fn now(&self) -> Ktime {
        let mut state = self.lock();
        state.now += 1;
        Ktime(state.now)
    }
    fn boot_realtime(&self) -> u64 {
        1_700_000_000_000_000_000
    }
    fn set_timer(&self, deadline: Option<Ktime>) {
        let cpu = self.running.load(Ordering::SeqCst);
        if let Some(cpu) = self.lock().cpus.get_mut(cpu) {
            cpu.timer = deadline.map(|at| at.0);
        }
    }
    fn vdso_clock(&self) -> Option<VdsoClock> {
        None
    }
}

impl Cpu for Machine {
    fn current_cpu(&self) -> CpuId {
        CpuId(self.running.load(Ordering::SeqCst) as u32)
    }
    fn nr_cpus(&self) -> usize {
        self.nr_cpus
    }
    fn kick(&self, cpu: CpuId) {
        if let Some(cpu) = self.lock().cpus.get_mut(cpu.0 as usize) {
            cpu.kicked = true;
        }
    }
    fn idle(&self) {
        if !self.take_interrupts() {
            self.halt(&here().1);
            self.take_interrupts();
        }
    }
    fn poll_interrupts(&self) {
        lockdep::assert_none("interrupts are taken");
        self.take_interrupts();
    }
    fn relax(&self) {
        super::machine::yield_here(true);
    }
}

impl Switch for Machine {
    fn new_thread(&self, entry: Entry) -> Result<Arc<dyn MachineThread>> {
        self.request()?;
        Ok(SimThread::new(&here().0, Some(entry)))
    }
    fn boot_thread(&self) -> Arc<dyn MachineThread> {
        here().1
    }
    fn switch(&self, prev: &Arc<dyn MachineThread>, next: &Arc<dyn MachineThread>) {
        lockdep::assert_none("a CPU switches");
        self.check_end();
        let next = thread_arc(next);
        next.prepare();
        let gate = next.gate.clone();
        self.put_on_cpu(next);
        gate.open();
        SimThread::of(prev).gate.pass();
        self.check_end();
    }
    fn activate(&self, space: Option<&Arc<dyn AddressSpace>>) {
        let cpu = self.running.load(Ordering::SeqCst);
        let old = match self.lock().cpus.get_mut(cpu) {
            Some(cpu) => core::mem::replace(&mut cpu.space, space.cloned()),
            None => None,
        };
        drop(old);
    }
}

impl Machine {
    /// The CPU goes on with another thread.
    pub(super) fn put_on_cpu(&self, thread: Arc<SimThread>) {
        let cpu = self.running.load(Ordering::SeqCst);
        let old = match self.lock().cpus.get_mut(cpu) {
            Some(cpu) => cpu.thread.replace(thread),
            None => None,
        };
        drop(old);
    }

    fn space(&self) -> Option<Arc<dyn AddressSpace>> {
        let cpu = self.running.load(Ordering::SeqCst);
        self.lock().cpus.get(cpu).and_then(|cpu| cpu.space.clone())
    }

    /// The frame behind a user address, if the access is allowed.
    fn translate(&self, at: UserAddr, write: bool) -> Option<Frame> {
        let space = self.space()?;
        let space = space.as_any().downcast_ref::<SimSpace>()?;
        space.walk(at, write).map(|pte| pte.frame)
    }

    /// Likewise for the kernel: takes page faults.
    fn user_frame(&self, at: UserAddr, write: bool) -> Result<Frame> {
        loop {
            if let Some(frame) = self.translate(at, write) {
                return Ok(frame);
            }
            let access = if write { Access::Write } else { Access::Read };
            match self.kernel() {
                Some(kernel) => kernel.user_fault(at, access, false)?,
                None => bail!(EFAULT),
            }
        }
    }

    /// Visits a range of user memory page by page: frame, offset in it, offset in the range, length.
    fn pages(
        &self,
        at: UserAddr,
        len: usize,
        write: bool,
        mut each: impl FnMut(Frame, usize, usize, usize),
    ) -> Result<()> {
        let end = at.0.checked_add(len as u64);
        if end.is_none_or(|end| end > USER_END) {
            bail!(EFAULT, "not user space");
        }
        let mut done = 0;
        while done < len {
            let here = at.offset(done as u64);
            let offset = (here.0 % PAGE_SIZE as u64) as usize;
            let part = (PAGE_SIZE - offset).min(len - done);
            let frame = self.user_frame(here, write)?;
            each(frame, offset, done, part);
            done += part;
        }
        Ok(())
    }

    /// Time passes for a busy CPU, up to its next interrupt; returns how much.
    fn compute(&self, nanos: u64) -> u64 {
        let cpu = self.running.load(Ordering::SeqCst);
        let mut state = self.lock();
        let now = state.now;
        let timer = state.cpus.get(cpu).and_then(|cpu| cpu.timer);
        let until = timer.map_or(u64::MAX, |at| at.saturating_sub(now)).max(1);
        let step = nanos.min(until).min(1_000_000);
        state.now += step;
        step
    }

    /// What a program asked for, if that needs no kernel: the answer, or the fault.
    fn serve(&self, request: &Request) -> core::result::Result<Answer, (UserAddr, Access)> {
        let whole = |at: u64, len: usize, write: bool| {
            let mut here = at & !(PAGE_SIZE as u64 - 1);
            while here < at + len as u64 {
                let access = if write { Access::Write } else { Access::Read };
                let addr = UserAddr(here.max(at));
                if self.translate(addr, write).is_none() {
                    return Err((addr, access));
                }
                here += PAGE_SIZE as u64;
            }
            Ok(())
        };
        Ok(match request {
            Request::Read(at, len) => {
                whole(*at, *len, false)?;
                let mut bytes = vec![0; *len];
                let _ = self.copy_from_user(&mut bytes, UserAddr(*at));
                Answer::Bytes(bytes)
            }
            Request::Write(at, bytes) => {
                whole(*at, bytes.len(), true)?;
                let _ = self.copy_to_user(UserAddr(*at), bytes);
                Answer::Value(0)
            }
            Request::CompareExchange(at, old, new) => {
                whole(*at, 4, true)?;
                let seen = self.cmpxchg_user_u32(UserAddr(*at), *old, *new);
                Answer::Value(seen.unwrap_or(0).into())
            }
            _ => Answer::Value(0),
        })
    }

    /// The program's side of `run_user`.
    fn run_program(&self, regs: &mut UserRegs) -> Trap {
        lockdep::assert_none("user mode is entered");
        let (_, thread) = here();
        let user = thread.user();
        // What is pending waits for its memory, its time, or the result of its call.
        let mut request = user.take_request();
        loop {
            self.turn(&thread, false);
            if self.take_interrupts() {
                user.put_request(request);
                return Trap::Interrupt;
            }
            if request.is_some() && regs.rip >= HANDLER_BASE {
                user.interrupt(request.take());
                let handler = Answer::Handler(regs.rip, regs.rdi as i32, regs.rsi);
                regs.rip = PROGRAM_RIP;
                user.resume(Some(handler), self);
                request = user.take_request();
            } else {
                let answer = match request.take() {
                    None => None,
                    // The end of a handler: what it interrupted goes on, with its registers.
                    Some(Request::Call(15, _)) => {
                        request = user.end_interrupt();
                        continue;
                    }
                    Some(Request::Call(nr, args)) if regs.rip == PROGRAM_RIP - 2 => {
                        regs.rip = PROGRAM_RIP;
                        regs.orig_rax = regs.rax;
                        user.put_request(Some(Request::Call(nr, args)));
                        return Trap::Syscall;
                    }
                    Some(Request::Call(..)) => Some(Answer::Value(regs.rax)),
                    Some(Request::SetStack(sp)) => {
                        regs.rsp = sp;
                        Some(Answer::Value(0))
                    }
                    Some(Request::Compute(nanos)) => {
                        let left = nanos - self.compute(nanos);
                        if left > 0 {
                            request = Some(Request::Compute(left));
                            continue;
                        }
                        Some(Answer::Value(0))
                    }
                    Some(wanted) => match self.serve(&wanted) {
                        Ok(answer) => Some(answer),
                        Err((addr, access)) => {
                            user.put_request(Some(wanted));
                            return Trap::PageFault {
                                addr,
                                access,
                                present: false,
                            };
                        }
                    },
                };
                user.resume(answer, self);
                request = user.take_request();
            }
            let (nr, args) = match &request {
                Some(Request::Call(nr, args)) => (*nr, *args),
                Some(Request::Done(code)) => (231, [*code as u64, 0, 0, 0, 0, 0]),
                _ => continue,
            };
            if nr == 15 {
                // The handler's return took the address of the restorer from the stack.
                regs.rsp += 8;
            }
            regs.orig_rax = nr;
            regs.rax = -38i64 as u64;
            [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] = args;
            user.put_request(request);
            return Trap::Syscall;
        }
    }
}

impl UserMemory for Machine {
    fn run_user(&self, regs: &mut UserRegs, clock: &UserClock) -> Trap {
        clock.enter(self.cycles());
        let trap = self.run_program(regs);
        clock.leave(self.cycles());
        trap
    }

    fn copy_from_user(&self, to: &mut [u8], from: UserAddr) -> Result<()> {
        self.pages(from, to.len(), false, |frame, offset, at, len| {
            self.frames.read(frame, offset, &mut to[at..at + len]);
        })
    }
    fn copy_to_user(&self, to: UserAddr, from: &[u8]) -> Result<()> {
        self.pages(to, from.len(), true, |frame, offset, at, len| {
            self.frames.change(frame, offset, len, |data| {
                data.copy_from_slice(&from[at..at + len])
            });
        })
    }
    fn strncpy_from_user(&self, to: &mut [u8], from: UserAddr) -> Result<(usize, bool)> {
        for (at, slot) in to.iter_mut().enumerate() {
            let mut byte = [0];
            self.copy_from_user(&mut byte, from.offset(at as u64))?;
            if byte[0] == 0 {
                return Ok((at, true));
            }
            *slot = byte[0];
        }
        Ok((to.len(), false))
    }
    fn clear_user(&self, to: UserAddr, len: usize) -> Result<()> {
        self.pages(to, len, true, |frame, offset, _, len| {
            self.frames.change(frame, offset, len, |data| data.fill(0));
        })
    }
    fn frame_to_user(&self, frame: Frame, offset: usize, to: UserAddr, len: usize) -> Result<()> {
        let mut bytes = vec![0; len];
        self.frames.read(frame, offset, &mut bytes);
        self.copy_to_user(to, &bytes)
    }
    fn user_to_frame(&self, from: UserAddr, frame: Frame, offset: usize, len: usize) -> Result<()> {
        let mut bytes = vec![0; len];
        self.copy_from_user(&mut bytes, from)?;
        self.write_frame(frame, offset, &bytes);
        Ok(())
    }
    fn load_user_u32(&self, at: UserAddr) -> Result<u32> {
        let mut bytes = [0; 4];
        self.copy_from_user(&mut bytes, at)?;
        Ok(u32::from_ne_bytes(bytes))
    }
    fn cmpxchg_user_u32(&self, at: UserAddr, old: u32, new: u32) -> Result<u32> {
        let frame = self.user_frame(at, true)?;
        let mut seen = 0;
        self.frames
            .change(frame, (at.0 % PAGE_SIZE as u64) as usize, 4, |data| {
                seen = u32::from_ne_bytes([data[0], data[1], data[2], data[3]]);
                if seen == old {
                    data.copy_from_slice(&new.to_ne_bytes());
                }
            });
        Ok(seen)
    }
}

impl Frames for Machine {
    fn alloc_frame(&self, _zeroed: bool) -> Result<Frame> {
        self.request()?;
        self.frames.alloc()
    }
    fn get_frame(&self, frame: Frame) {
        self.frames.count(frame, 1);
    }
    fn put_frame(&self, frame: Frame) -> Option<u32> {
        self.frames.count(frame, -1)
    }
    fn frame_refs(&self, frame: Frame) -> u32 {
        self.frames.refs(frame)
    }
    fn frame_owner(&self, frame: Frame) -> u32 {
        self.frames.owner(frame)
    }
    fn set_frame_owner(&self, frame: Frame, owner: u32) {
        self.frames.set_owner(frame, owner);
    }
    fn change_frame_owner(&self, frame: Frame, old: u32, new: u32) -> bool {
        self.frames.change_owner(frame, old, new)
    }
    fn count_frame_maps(&self, frame: Frame, by: i32) -> u32 {
        self.frames.count_maps(frame, by)
    }
    fn read_frame(&self, frame: Frame, offset: usize, to: &mut [u8]) {
        self.frames.read(frame, offset, to);
    }
    fn write_frame(&self, frame: Frame, offset: usize, from: &[u8]) {
        self.frames
            .change(frame, offset, from.len(), |data| data.copy_from_slice(from));
    }
    fn zero_frame(&self, frame: Frame, offset: usize, len: usize) {
        self.frames.change(frame, offset, len, |data| data.fill(0));
    }
    fn copy_frame(&self, from: Frame, to: Frame) {
        let mut bytes = vec![0; PAGE_SIZE];
        self.frames.read(from, 0, &mut bytes);
        self.write_frame(to, 0, &bytes);
    }
    fn zero_page(&self) -> Frame {
        Frame(0)
    }
    fn check_reserve(&self) -> Result<()> {
        self.request()
    }
    fn frame_stats(&self) -> FrameStats {
        self.frames.stats()
    }
}

impl Console for Machine {
    fn console_write(&self, bytes: &[u8]) {
        self.lock().console.extend_from_slice(bytes);
    }
}

impl Nics for Machine {}

impl Entropy for Machine {
    fn entropy(&self, out: &mut [u8]) {
        let mut state = self.lock();
        out.iter_mut()
            .for_each(|byte| *byte = state.random.below(256) as u8);
    }
}

impl Power for Machine {
    fn power_off(&self) -> ! {
        self.end(Outcome::PowerOff);
        std::panic::resume_unwind(alloc::boxed::Box::new(super::machine::EndOfRun))
    }
    fn restart(&self) -> ! {
        self.power_off()
    }
    fn halt(&self) -> ! {
        self.power_off()
    }
}

impl Hal for Machine {
    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>> {
        self.request()?;
        Ok(Arc::new(SimSpace::default()))
    }
}
