//! Arguments: from a register to a type, and back to text for the trace.

use core::fmt;

use linux_object::fs::OpenFlags;
use linux_object::ids::{Fd, UserAddr};

use crate::dispatch::PointsTo;

/// What a register may be decoded to.
pub trait Arg: Sized {
    /// Takes the bits that the C type has; the rest of the register is ignored, as in Linux.
    fn decode(raw: u64) -> Self;
    /// Writes it as strace would.
    fn trace(&self, f: &mut dyn fmt::Write) -> fmt::Result;
    /// What the trace may show behind it, if it is a pointer.
    const POINTS_TO: PointsTo = PointsTo::Nothing;
}

macro_rules! number {
    ($($ty:ty => $format:literal),*) => {$(
        impl Arg for $ty {
            #[inline]
            fn decode(raw: u64) -> Self { raw as $ty }
            fn trace(&self, f: &mut dyn fmt::Write) -> fmt::Result { write!(f, $format, self) }
        }
    )*};
}

number!(i32 => "{}", i64 => "{}", usize => "{}", u32 => "{:#x}", u64 => "{:#x}");

impl Arg for Fd {
    #[inline]
    fn decode(raw: u64) -> Self {
        Fd(raw as i32)
    }
    fn trace(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        match self.0 {
            crate::abi::AT_FDCWD => f.write_str("AT_FDCWD"),
            fd => write!(f, "{fd}"),
        }
    }
}

impl Arg for UserAddr {
    #[inline]
    fn decode(raw: u64) -> Self {
        UserAddr(raw)
    }
    fn trace(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        match self.0 {
            0 => f.write_str("NULL"),
            addr => write!(f, "{addr:#x}"),
        }
    }
}

/// The flags of `open(2)`; unknown bits are kept here and ignored there, as Linux does.
#[derive(Clone, Copy, Debug)]
pub struct OpenArg(pub u32);

impl OpenArg {
    /// The flags that have a meaning.
    pub fn flags(self) -> OpenFlags {
        OpenFlags::from_bits_truncate(self.0)
    }
}

impl Arg for OpenArg {
    #[inline]
    fn decode(raw: u64) -> Self {
        OpenArg(raw as u32)
    }
    fn trace(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        f.write_str(match self.0 & 3 {
            0 => "O_RDONLY",
            1 => "O_WRONLY",
            _ => "O_RDWR",
        })?;
        let rest = self.flags().difference(OpenFlags::WRONLY | OpenFlags::RDWR);
        rest.iter_names().try_for_each(|(name, _)| write!(f, "|O_{name}"))
    }
}
