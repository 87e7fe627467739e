//! The ports on one page: what the libraries ask of the machine, and who does it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_object::err;
use linux_object::error::Result;
use linux_object::hal::{
    AddressSpace, Clock, Console, Cpu, CpuInfo, Entropy, Entry, FrameStats, Frames, Hal, InterruptSource,
    MachineThread, Nic, Nics, Power, Switch, Trap, UserClock, UserMemory, UserRegs, VdsoClock,
};
use linux_object::ids::{CpuId, Frame, UserAddr};
use linux_object::time::Ktime;

use crate::arch::{
    self, activate, address_space::PageTables, apic, cpu_info, interrupts, page, percpu, thread, timer, tsc,
    uaccess, user,
};
use crate::drivers::{entropy, power, uart, virtio_net};
use crate::init;
use crate::mm::frames;
use crate::sync::BootCell;

/// This machine. Its state is the hardware's and the modules' own.
pub struct Machine;

impl Hal for Machine {
    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>> {
        Ok(Arc::new(PageTables::new()?))
    }
}

impl Clock for Machine {
    #[inline]
    fn now(&self) -> Ktime {
        tsc::now()
    }
    fn cycles(&self) -> u64 {
        tsc::cycles()
    }
    fn cycles_to_ns(&self, cycles: u64) -> u64 {
        tsc::cycles_to_ns(cycles)
    }
    fn boot_realtime(&self) -> u64 {
        init::boot_realtime()
    }
    fn set_timer(&self, deadline: Option<Ktime>) {
        timer::set(deadline);
    }
    fn vdso_clock(&self) -> Option<VdsoClock> {
        tsc::vdso_clock()
    }
}

impl Cpu for Machine {
    fn interrupts(&self, cpu: CpuId, each: &mut dyn FnMut(&InterruptSource, u64)) {
        percpu::of(cpu.0 as usize).interrupts.for_each(each);
    }
    fn cpu_info(&self, cpu: CpuId) -> CpuInfo {
        cpu_info::read(cpu.0 as usize)
    }
    #[inline]
    fn current_cpu(&self) -> CpuId {
        CpuId(percpu::this().id.get())
    }
    fn nr_cpus(&self) -> usize {
        percpu::count()
    }
    fn kick(&self, cpu: CpuId) {
        apic::send(percpu::of(cpu.0 as usize).apic_id.get(), interrupts::KICK);
    }
    fn idle(&self) {
        interrupts::wait();
    }
    fn symbol(&self, address: u64) -> Option<(&'static str, u64)> {
        crate::symbols::lookup(address)
    }
    fn poll_interrupts(&self) {
        crate::lockdep::assert_none_held("poll_interrupts");
        interrupts::poll();
    }
    fn relax(&self) {
        arch::relax();
    }
    fn hwcap(&self) -> (u64, u64) {
        /// `HWCAP2_FSGSBASE` of Linux's `asm/hwcap2.h`.
        const FSGSBASE: u64 = 1 << 1;
        let features = raw_cpuid::cpuid!(1).edx;
        let fsgsbase = arch::features::get().fsgsbase;
        (features.into(), if fsgsbase { FSGSBASE } else { 0 })
    }
}

impl Switch for Machine {
    fn new_thread(&self, entry: Entry) -> Result<Arc<dyn MachineThread>> {
        Ok(thread::Thread::new(entry)?)
    }
    fn boot_thread(&self) -> Arc<dyn MachineThread> {
        thread::boot_thread()
    }
    fn switch(&self, prev: &Arc<dyn MachineThread>, next: &Arc<dyn MachineThread>) {
        thread::switch(prev, next);
    }
    fn activate(&self, space: Option<&Arc<dyn AddressSpace>>) {
        activate::activate(space);
    }
}

static ZERO_PAGE: BootCell<u32> = BootCell::new(0);

/// Makes the page of zeros.
///
/// # Safety
/// Once, before the libraries start.
pub unsafe fn init_zero_page() {
    let frame = frames::alloc_counted(true).expect("memory for the zero page");
    // SAFETY: by the contract of this function.
    unsafe { ZERO_PAGE.set(frame.0) };
}

impl Frames for Machine {
    fn alloc_frame(&self, zeroed: bool) -> Result<Frame> {
        frames::alloc_counted(zeroed).ok_or_else(|| err!(ENOMEM, "no free page frame"))
    }
    fn get_frame(&self, frame: Frame) {
        frames::meta(frame.0).refs.fetch_add(1, Ordering::Relaxed);
    }
    fn put_frame(&self, frame: Frame) -> Option<u32> {
        frames::put(frame)
    }
    fn frame_refs(&self, frame: Frame) -> u32 {
        frames::meta(frame.0).refs.load(Ordering::Acquire)
    }
    fn frame_owner(&self, frame: Frame) -> u32 {
        frames::meta(frame.0).owner.load(Ordering::Relaxed)
    }
    fn set_frame_owner(&self, frame: Frame, owner: u32) {
        frames::meta(frame.0).owner.store(owner, Ordering::Relaxed);
    }
    fn change_frame_owner(&self, frame: Frame, old: u32, new: u32) -> bool {
        let owner = &frames::meta(frame.0).owner;
        let changed = owner.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
        changed.is_ok()
    }
    fn count_frame_maps(&self, frame: Frame, by: i32) -> u32 {
        let maps = &frames::meta(frame.0).next;
        maps.fetch_add(by as u32, Ordering::Relaxed)
            .wrapping_add_signed(by)
    }
    fn read_frame(&self, frame: Frame, offset: usize, to: &mut [u8]) {
        uaccess::read_frame(frame, offset, to);
    }
    fn write_frame(&self, frame: Frame, offset: usize, from: &[u8]) {
        uaccess::write_frame(frame, offset, from);
    }
    fn zero_frame(&self, frame: Frame, offset: usize, len: usize) {
        uaccess::zero_frame(frame, offset, len);
    }
    fn copy_frame(&self, from: Frame, to: Frame) {
        page::copy(to.0, from.0);
    }
    fn zero_page(&self) -> Frame {
        Frame(*ZERO_PAGE.get())
    }
    fn reserve_is_low(&self) -> bool {
        frames::is_low()
    }
    fn frame_stats(&self) -> FrameStats {
        frames::stats()
    }
}

impl UserMemory for Machine {
    fn run_user(&self, regs: &mut UserRegs, clock: &UserClock) -> Trap {
        user::run(regs, clock)
    }
    fn copy_from_user(&self, to: &mut [u8], from: UserAddr) -> Result<()> {
        uaccess::copy_from_user(to, from)
    }
    fn copy_to_user(&self, to: UserAddr, from: &[u8]) -> Result<()> {
        uaccess::copy_to_user(to, from)
    }
    fn strncpy_from_user(&self, to: &mut [u8], from: UserAddr) -> Result<(usize, bool)> {
        uaccess::strncpy_from_user(to, from)
    }
    fn clear_user(&self, to: UserAddr, len: usize) -> Result<()> {
        uaccess::clear(to, len)
    }
    fn frame_to_user(&self, frame: Frame, offset: usize, to: UserAddr, len: usize) -> Result<()> {
        uaccess::frame_to_user(frame, offset, to, len)
    }
    fn user_to_frame(&self, from: UserAddr, frame: Frame, offset: usize, len: usize) -> Result<()> {
        uaccess::user_to_frame(from, frame, offset, len)
    }
    fn load_user_u32(&self, at: UserAddr) -> Result<u32> {
        uaccess::load_u32(at)
    }
    fn cmpxchg_user_u32(&self, at: UserAddr, old: u32, new: u32) -> Result<u32> {
        uaccess::cmpxchg_u32(at, old, new)
    }
}

impl Console for Machine {
    fn console_write(&self, bytes: &[u8]) {
        uart::write(bytes);
    }
}

impl Nics for Machine {
    fn nics(&self) -> Vec<Arc<dyn Nic>> {
        virtio_net::all()
    }
}

impl Entropy for Machine {
    fn entropy(&self, out: &mut [u8]) {
        entropy::fill(out);
    }
}

impl Power for Machine {
    fn power_off(&self) -> ! {
        power::power_off()
    }
    fn restart(&self) -> ! {
        power::restart()
    }
    fn halt(&self) -> ! {
        arch::stop::others();
        arch::halt()
    }
}
