//! Poll events (`poll(2)`).

bitflags::bitflags! {
    /// Events as `poll(2)` and `epoll(7)` number them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct PollEvents: u32 {
        const IN = 0x001;
        const PRI = 0x002;
        const OUT = 0x004;
        const ERR = 0x008;
        const HUP = 0x010;
        const NVAL = 0x020;
        const RDNORM = 0x040;
        const RDBAND = 0x080;
        const WRNORM = 0x100;
        const WRBAND = 0x200;
        const MSG = 0x400;
        const RDHUP = 0x2000;
        /// Reported whether asked for or not.
        const ALWAYS = Self::ERR.bits() | Self::HUP.bits();
        /// What a reader waits for.
        const READABLE = Self::IN.bits() | Self::RDNORM.bits();
        /// What a writer waits for.
        const WRITABLE = Self::OUT.bits() | Self::WRNORM.bits();
    }
}
