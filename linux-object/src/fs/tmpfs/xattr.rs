//! Extended attributes of tmpfs (`xattr(7)`): `user.`, `trusted.` and `security.`.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::error::Result;
use crate::mm::memcg::KmemCharge;
use crate::{bail, err};

/// `XATTR_CREATE`.
const CREATE: u32 = 1;
/// `XATTR_REPLACE`.
const REPLACE: u32 = 2;

/// The attributes of an inode, few and short.
#[derive(Default)]
pub(crate) struct Xattrs(Vec<Xattr>);

/// Name and value, and who pays for them.
type Xattr = (Box<[u8]>, Box<[u8]>, KmemCharge);

fn supported(name: &[u8]) -> Result<()> {
    let known = [&b"user."[..], b"trusted.", b"security."];
    match known.iter().find_map(|prefix| name.strip_prefix(*prefix)) {
        Some([]) => bail!(EINVAL, "the name of an attribute is only a prefix"),
        Some(_) => Ok(()),
        None => bail!(EOPNOTSUPP, "tmpfs keeps user., trusted. and security. attributes"),
    }
}

fn copy(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    if copy.try_reserve_exact(bytes.len()).is_err() {
        bail!(ENOMEM, "no memory for an extended attribute");
    }
    copy.extend_from_slice(bytes);
    Ok(copy)
}

impl Xattrs {
    pub fn get(&self, name: &[u8]) -> Result<Vec<u8>> {
        supported(name)?;
        let found = self.0.iter().find(|(other, ..)| **other == *name);
        copy(&found.ok_or(err!(ENODATA))?.1)
    }

    /// What an attribute costs.
    pub fn bytes(name: &[u8], value: &[u8]) -> usize {
        size_of::<Xattr>() + name.len() + value.len()
    }

    pub fn set(&mut self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        self.set_charged(name, value, flags, KmemCharge::none())
    }

    /// Sets an attribute that `memory` pays for.
    pub fn set_charged(&mut self, name: &[u8], value: &[u8], flags: u32, memory: KmemCharge) -> Result<()> {
        supported(name)?;
        let value = copy(value)?.into_boxed_slice();
        match self.0.iter_mut().find(|(other, ..)| **other == *name) {
            Some(_) if flags & CREATE != 0 => bail!(EEXIST),
            Some((_, old, charge)) => (*old, *charge) = (value, memory),
            None if flags & REPLACE != 0 => bail!(ENODATA),
            None => {
                if self.0.try_reserve(1).is_err() {
                    bail!(ENOMEM, "no memory for an extended attribute");
                }
                self.0.push((copy(name)?.into_boxed_slice(), value, memory));
            }
        }
        Ok(())
    }

    pub fn remove(&mut self, name: &[u8]) -> Result<()> {
        supported(name)?;
        let at = self.0.iter().position(|(other, ..)| **other == *name);
        self.0.remove(at.ok_or(err!(ENODATA))?);
        Ok(())
    }

    pub fn list(&self) -> Vec<u8> {
        let mut names = Vec::new();
        for (name, ..) in &self.0 {
            names.extend_from_slice(name);
            names.push(0);
        }
        names
    }
}
