//! Terminal settings (`termios(3)`, `asm-generic/termbits.h`).

use crate::ensure;
use crate::error::Result;

/// Control characters in `c_cc`.
pub const NCCS: usize = 19;

/// Indices into `c_cc`.
#[allow(missing_docs)]
pub mod cc {
    pub const VINTR: usize = 0;
    pub const VQUIT: usize = 1;
    pub const VERASE: usize = 2;
    pub const VKILL: usize = 3;
    pub const VEOF: usize = 4;
    pub const VTIME: usize = 5;
    pub const VMIN: usize = 6;
    pub const VSTART: usize = 8;
    pub const VSTOP: usize = 9;
    pub const VSUSP: usize = 10;
    pub const VEOL: usize = 11;
    pub const VREPRINT: usize = 12;
    pub const VWERASE: usize = 14;
    pub const VLNEXT: usize = 15;
    pub const VEOL2: usize = 16;
}

bitflags::bitflags! {
    /// Input modes.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct InputFlags: u32 {
        const IGNBRK = 0x001;
        const BRKINT = 0x002;
        const IGNPAR = 0x004;
        const PARMRK = 0x008;
        const INPCK = 0x010;
        const ISTRIP = 0x020;
        const INLCR = 0x040;
        const IGNCR = 0x080;
        const ICRNL = 0x100;
        const IUCLC = 0x200;
        const IXON = 0x400;
        const IXANY = 0x800;
        const IXOFF = 0x1000;
        const IMAXBEL = 0x2000;
        const IUTF8 = 0x4000;
        const _ = !0;
    }
    /// Output modes.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct OutputFlags: u32 {
        const OPOST = 0x01;
        const OLCUC = 0x02;
        const ONLCR = 0x04;
        const OCRNL = 0x08;
        const ONOCR = 0x10;
        const ONLRET = 0x20;
        /// Tabs become spaces (`XTABS`, both bits of `TABDLY`).
        const XTABS = 0x1800;
        const _ = !0;
    }
    /// Local modes.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct LocalFlags: u32 {
        const ISIG = 0x0001;
        const ICANON = 0x0002;
        const ECHO = 0x0008;
        const ECHOE = 0x0010;
        const ECHOK = 0x0020;
        const ECHONL = 0x0040;
        const NOFLSH = 0x0080;
        const TOSTOP = 0x0100;
        const ECHOCTL = 0x0200;
        const ECHOPRT = 0x0400;
        const ECHOKE = 0x0800;
        const IEXTEN = 0x8000;
        const EXTPROC = 0x10000;
        const _ = !0;
    }
}

const CS8: u32 = 0x30;
const CREAD: u32 = 0x80;
const CLOCAL: u32 = 0x800;
const HUPCL: u32 = 0x400;
const CBAUD: u32 = 0x100f;
const CBAUDEX: u32 = 0x1000;
const B38400: u32 = 0xf;
const B9600: u32 = 0xd;
const BOTHER: u32 = 0x1000;
const IBSHIFT: u32 = 16;

/// Speeds by `B*` index without `CBAUDEX`, then with it.
const SPEEDS: [u32; 31] = [
    0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200,
    230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000,
    4000000,
];

/// The settings of a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Termios {
    pub iflag: InputFlags,
    pub oflag: OutputFlags,
    pub cflag: u32,
    pub lflag: LocalFlags,
    pub line: u8,
    pub cc: [u8; NCCS],
    pub ispeed: u32,
    pub ospeed: u32,
}

impl Termios {
    /// What a terminal starts with (`tty_std_termios`).
    pub fn standard() -> Termios {
        let mut cc = [0; NCCS];
        cc[..17].copy_from_slice(&[
            3, 0o34, 0o177, 0o25, 4, 0, 1, 0, 0o21, 0o23, 0o32, 0, 0o22, 0o17, 0o27, 0o26, 0,
        ]);
        Termios {
            iflag: InputFlags::ICRNL | InputFlags::IXON,
            oflag: OutputFlags::OPOST | OutputFlags::ONLCR,
            cflag: B38400 | CS8 | CREAD | HUPCL,
            lflag: LocalFlags::ISIG
                | LocalFlags::ICANON
                | LocalFlags::ECHO
                | LocalFlags::ECHOE
                | LocalFlags::ECHOK
                | LocalFlags::ECHOCTL
                | LocalFlags::ECHOKE
                | LocalFlags::IEXTEN,
            line: 0,
            cc,
            ispeed: 38400,
            ospeed: 38400,
        }
    }

    /// What a serial console starts with: 9600 baud unless the command line says more.
    pub fn serial() -> Termios {
        Termios {
            cflag: B9600 | CS8 | CREAD | HUPCL | CLOCAL,
            ispeed: 9600,
            ospeed: 9600,
            ..Termios::standard()
        }
    }

    /// What a pseudo-terminal's slave starts with.
    pub fn pty() -> Termios {
        Termios {
            cflag: B38400 | CS8 | CREAD,
            ..Termios::standard()
        }
    }

    /// Whether an input mode is on.
    pub fn i(&self, flag: InputFlags) -> bool {
        self.iflag.contains(flag)
    }
    /// Whether an output mode is on.
    pub fn o(&self, flag: OutputFlags) -> bool {
        self.oflag.contains(flag)
    }
    /// Whether a local mode is on.
    pub fn l(&self, flag: LocalFlags) -> bool {
        self.lflag.contains(flag)
    }
    /// Whether `c` is this control character; 0 switches one off.
    pub fn is(&self, c: u8, index: usize) -> bool {
        c != 0 && self.cc[index] == c
    }
    /// Whether reads are by lines.
    pub fn canonical(&self) -> bool {
        self.l(LocalFlags::ICANON) && !self.l(LocalFlags::EXTPROC)
    }

    /// `struct termios` of the kernel: 36 bytes.
    pub fn to_termios(&self) -> [u8; 36] {
        let mut out = [0; 36];
        let words = [
            self.iflag.bits(),
            self.oflag.bits(),
            self.cflag,
            self.lflag.bits(),
        ];
        for (at, word) in out.chunks_exact_mut(4).zip(words) {
            at.copy_from_slice(&word.to_ne_bytes());
        }
        out[16] = self.line;
        out[17..].copy_from_slice(&self.cc);
        out
    }

    /// `struct termios2`: 44 bytes.
    pub fn to_termios2(&self) -> [u8; 44] {
        let mut out = [0; 44];
        out[..36].copy_from_slice(&self.to_termios());
        out[36..40].copy_from_slice(&self.ispeed.to_ne_bytes());
        out[40..].copy_from_slice(&self.ospeed.to_ne_bytes());
        out
    }

    /// `struct termio`: 18 bytes, half-words and 8 control characters.
    pub fn to_termio(&self) -> [u8; 18] {
        let mut out = [0; 18];
        let words = [
            self.iflag.bits(),
            self.oflag.bits(),
            self.cflag,
            self.lflag.bits(),
        ];
        for (at, word) in out.chunks_exact_mut(2).zip(words) {
            at.copy_from_slice(&(word as u16).to_ne_bytes());
        }
        out[8] = self.line;
        out[9..17].copy_from_slice(&self.cc[..8]);
        out
    }

    /// These settings with the flags and characters of a `struct termios`; the speeds follow `cflag`.
    pub fn with_termios(&self, raw: &[u8; 36]) -> Termios {
        let word =
            |n: usize| u32::from_ne_bytes([raw[4 * n], raw[4 * n + 1], raw[4 * n + 2], raw[4 * n + 3]]);
        let mut new = Termios {
            iflag: InputFlags::from_bits_retain(word(0)),
            oflag: OutputFlags::from_bits_retain(word(1)),
            cflag: word(2),
            lflag: LocalFlags::from_bits_retain(word(3)),
            line: raw[16],
            ..*self
        };
        new.cc.copy_from_slice(&raw[17..]);
        new.set_speeds(self.ispeed, self.ospeed);
        new
    }

    /// The same with a `struct termios2`, whose speeds count where `cflag` says `BOTHER`.
    pub fn with_termios2(&self, raw: &[u8; 44]) -> Termios {
        let mut flags = [0; 36];
        flags.copy_from_slice(&raw[..36]);
        let word = |n: usize| u32::from_ne_bytes([raw[n], raw[n + 1], raw[n + 2], raw[n + 3]]);
        let mut new = self.with_termios(&flags);
        new.set_speeds(word(36), word(40));
        new
    }

    /// The same with a `struct termio`: high halves of the flags stay.
    pub fn with_termio(&self, raw: &[u8; 18]) -> Termios {
        let word =
            |n: usize, old: u32| old & !0xffff | u16::from_ne_bytes([raw[2 * n], raw[2 * n + 1]]) as u32;
        let mut new = Termios {
            iflag: InputFlags::from_bits_retain(word(0, self.iflag.bits())),
            oflag: OutputFlags::from_bits_retain(word(1, self.oflag.bits())),
            cflag: word(2, self.cflag),
            lflag: LocalFlags::from_bits_retain(word(3, self.lflag.bits())),
            line: raw[8],
            ..*self
        };
        new.cc[..8].copy_from_slice(&raw[9..17]);
        new.set_speeds(self.ispeed, self.ospeed);
        new
    }

    fn set_speeds(&mut self, ispeed: u32, ospeed: u32) {
        self.ospeed = speed(self.cflag & CBAUD, ospeed);
        let input = self.cflag >> IBSHIFT & CBAUD;
        self.ispeed = if input == 0 {
            self.ospeed
        } else {
            speed(input, ispeed)
        };
    }
}

fn speed(baud: u32, other: u32) -> u32 {
    if baud == BOTHER {
        return other;
    }
    let index = if baud & CBAUDEX != 0 {
        (baud & !CBAUDEX) + 15
    } else {
        baud
    };
    SPEEDS.get(index as usize).copied().unwrap_or(0)
}

/// `struct winsize`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct WinSize {
    pub rows: u16,
    pub cols: u16,
    pub xpixel: u16,
    pub ypixel: u16,
}

impl WinSize {
    /// As user space lays it out.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut out = [0; 8];
        let words = [self.rows, self.cols, self.xpixel, self.ypixel];
        for (at, word) in out.chunks_exact_mut(2).zip(words) {
            at.copy_from_slice(&word.to_ne_bytes());
        }
        out
    }
    /// From user space.
    pub fn from_bytes(raw: [u8; 8]) -> WinSize {
        let word = |n: usize| u16::from_ne_bytes([raw[2 * n], raw[2 * n + 1]]);
        WinSize {
            rows: word(0),
            cols: word(1),
            xpixel: word(2),
            ypixel: word(3),
        }
    }
}

/// Checks a line discipline number: there is only N_TTY.
pub fn check_ldisc(number: i32) -> Result<()> {
    ensure!(number == 0, EINVAL, "there is no such line discipline");
    Ok(())
}
