//! Pointers from user space: an address and a type, an allegation until a copy succeeds.
//!
//! There is no other way into user memory. `UserInPtr` may be read, `UserOutPtr` written, `UserPtr`
//! both. Lengths are given with each access, since C pointers carry none.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use linux_object::bail;
use linux_object::error::Result;
use linux_object::ids::UserAddr;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::arg::Arg;
use crate::context::Cx;
use crate::dispatch::PointsTo;

macro_rules! pointer {
    ($(#[$doc:meta])* $name:ident, $bytes:ident) => {
        $(#[$doc])*
        pub struct $name<T> {
            addr: UserAddr,
            ty: PhantomData<fn() -> T>,
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<T> Copy for $name<T> {}

        impl<T> $name<T> {
            /// A pointer to `addr`.
            pub const fn new(addr: UserAddr) -> Self {
                $name { addr, ty: PhantomData }
            }
            /// Where it points.
            pub fn addr(self) -> UserAddr {
                self.addr
            }
            /// Whether it is the null pointer.
            pub fn is_null(self) -> bool {
                self.addr.is_null()
            }
            /// The n-th element.
            pub fn at(self, n: usize) -> Self {
                Self::new(self.addr.offset((n as u64).wrapping_mul(size_of::<T>() as u64)))
            }
        }

        impl<T> Arg for $name<T> {
            const POINTS_TO: PointsTo = if size_of::<T>() == 1 {
                PointsTo::$bytes
            } else {
                PointsTo::Nothing
            };
            #[inline]
            fn decode(raw: u64) -> Self {
                Self::new(UserAddr(raw))
            }
            fn trace(&self, f: &mut dyn fmt::Write) -> fmt::Result {
                self.addr.trace(f)
            }
        }
    };
}

pointer!(
    /// A pointer that a call reads through (`const T *`).
    UserInPtr, BytesIn
);
pointer!(
    /// A pointer that a call writes through (`T *`).
    UserOutPtr, BytesOut
);
pointer!(
    /// A pointer that a call reads and writes through.
    UserPtr, Nothing
);

fn read_one<T: FromBytes + IntoBytes>(cx: &Cx<'_>, addr: UserAddr) -> Result<T> {
    let mut value = T::new_zeroed();
    cx.hal().copy_from_user(value.as_mut_bytes(), addr)?;
    Ok(value)
}

fn read_many<T: FromBytes + IntoBytes + Clone>(cx: &Cx<'_>, addr: UserAddr, count: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    if values.try_reserve_exact(count).is_err() {
        bail!(ENOMEM, "no memory for an array from user space");
    }
    for n in 0..count {
        values.push(read_one(cx, addr.offset((n * size_of::<T>()) as u64))?);
    }
    Ok(values)
}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout> UserInPtr<T> {
    /// Reads the value.
    pub fn read(self, cx: &Cx<'_>) -> Result<T> {
        read_one(cx, self.addr)
    }
    /// Reads the value, or `None` through a null pointer.
    pub fn read_opt(self, cx: &Cx<'_>) -> Result<Option<T>> {
        if self.is_null() {
            Ok(None)
        } else {
            self.read(cx).map(Some)
        }
    }
    /// Reads an array. The caller bounds `count`.
    pub fn read_vec(self, cx: &Cx<'_>, count: usize) -> Result<Vec<T>>
    where
        T: Clone,
    {
        read_many(cx, self.addr, count)
    }
}

impl UserInPtr<u8> {
    /// Reads bytes. The caller bounds `count`.
    pub fn read_bytes(self, cx: &Cx<'_>, count: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(count).is_err() {
            bail!(ENOMEM, "no memory for bytes from user space");
        }
        bytes.resize(count, 0);
        cx.hal().copy_from_user(&mut bytes, self.addr)?;
        Ok(bytes)
    }
}

impl<T: IntoBytes + Immutable> UserOutPtr<T> {
    /// Writes the value.
    pub fn write(self, cx: &Cx<'_>, value: &T) -> Result<()> {
        cx.hal().copy_to_user(self.addr, value.as_bytes())
    }
    /// Writes the value unless the pointer is null.
    pub fn write_opt(self, cx: &Cx<'_>, value: &T) -> Result<()> {
        if self.is_null() {
            Ok(())
        } else {
            self.write(cx, value)
        }
    }
    /// Writes an array.
    pub fn write_slice(self, cx: &Cx<'_>, values: &[T]) -> Result<()> {
        cx.hal().copy_to_user(self.addr, values.as_bytes())
    }
}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout> UserPtr<T> {
    /// Reads the value.
    pub fn read(self, cx: &Cx<'_>) -> Result<T> {
        read_one(cx, self.addr)
    }
    /// Reads the value, or `None` through a null pointer.
    pub fn read_opt(self, cx: &Cx<'_>) -> Result<Option<T>> {
        if self.is_null() {
            Ok(None)
        } else {
            self.read(cx).map(Some)
        }
    }
    /// Reads an array. The caller bounds `count`.
    pub fn read_vec(self, cx: &Cx<'_>, count: usize) -> Result<Vec<T>>
    where
        T: Clone,
    {
        read_many(cx, self.addr, count)
    }
    /// Writes the value.
    pub fn write(self, cx: &Cx<'_>, value: &T) -> Result<()> {
        cx.hal().copy_to_user(self.addr, value.as_bytes())
    }
    /// Writes the value unless the pointer is null.
    pub fn write_opt(self, cx: &Cx<'_>, value: &T) -> Result<()> {
        if self.is_null() {
            Ok(())
        } else {
            self.write(cx, value)
        }
    }
    /// Writes an array.
    pub fn write_slice(self, cx: &Cx<'_>, values: &[T]) -> Result<()> {
        cx.hal().copy_to_user(self.addr, values.as_bytes())
    }
}

/// A string that ends with a zero byte: a path, a name.
#[derive(Clone, Copy)]
pub struct UserCStr(pub UserAddr);

/// Longest path with its zero byte.
pub const PATH_MAX: usize = 4096;

impl UserCStr {
    /// Whether it is the null pointer.
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }
    /// Reads a string of at most `max` bytes with its zero byte; `None` if it is longer.
    pub fn read(self, cx: &Cx<'_>, max: usize) -> Result<Option<Vec<u8>>> {
        let mut buf = [0u8; 256];
        let mut string = Vec::new();
        while string.len() < max {
            let part = (max - string.len()).min(buf.len());
            let (len, ended) = cx
                .hal()
                .strncpy_from_user(&mut buf[..part], self.0.offset(string.len() as u64))?;
            if string.try_reserve(len).is_err() {
                bail!(ENOMEM, "no memory for a string from user space");
            }
            string.extend_from_slice(&buf[..len]);
            if ended {
                return Ok(Some(string));
            }
        }
        Ok(None)
    }
    /// Reads a path (Linux's `getname`): `ENAMETOOLONG` over [`PATH_MAX`].
    pub fn read_path(self, cx: &Cx<'_>) -> Result<Vec<u8>> {
        match self.read(cx, PATH_MAX)? {
            Some(path) => Ok(path),
            None => bail!(ENAMETOOLONG, "a path has at most 4095 bytes"),
        }
    }
}

impl Arg for UserCStr {
    const POINTS_TO: PointsTo = PointsTo::String;
    #[inline]
    fn decode(raw: u64) -> Self {
        UserCStr(UserAddr(raw))
    }
    fn trace(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        self.0.trace(f)
    }
}
