//! System calls: keys (`add_key(2)`, `request_key(2)`, `keyctl(2)`).

#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_object::cred::Cred;
use linux_object::error::Result;
use linux_object::ids::{Gid, Uid, UserAddr};
use linux_object::keys::{AddKey, Key, KeyPerm, KeyRef, KeyType, Lookup, Need, RequestKey, RequestKeyring};
use linux_object::{bail, ensure, err};

use crate::context::Cx;
use crate::user_ptr::{PATH_MAX, UserCStr, UserInPtr, UserOutPtr};

/// Longest name of a type with its zero byte.
const TYPE_MAX: usize = 32;
/// Longest description, and longest text that is handed to who makes a key.
const TEXT_MAX: usize = PATH_MAX;
/// Longest payload that `add_key(2)` takes at all.
const PAYLOAD_MAX: usize = (1 << 20) - 1;
/// Longest payload of an update.
const UPDATE_MAX: usize = 4096;

/// "Leave it as it is" for an owner.
const KEEP: u32 = u32::MAX;

/// The name of a type. `EINVAL`, `EPERM` for the kernel's own.
fn type_name(cx: &Cx<'_>, name: UserCStr) -> Result<Vec<u8>> {
    let name = name.read(cx, TYPE_MAX)?;
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        bail!(EINVAL, "the type of a key has 1 to 31 bytes")
    };
    ensure!(name[0] != b'.', EPERM, "the kernel's own types begin with a dot");
    Ok(name)
}

fn text(cx: &Cx<'_>, text: UserCStr) -> Result<Vec<u8>> {
    let text = text.read(cx, TEXT_MAX)?;
    text.ok_or(err!(EINVAL, "a text for a key has at most 4095 bytes"))
}

fn key_type(name: &[u8]) -> Result<KeyType> {
    KeyType::from_name(name).ok_or(err!(ENOKEY, "no such type of key"))
}

fn lookup(cx: &Cx<'_>, id: i32, lookup: Lookup, need: Need) -> Result<KeyRef> {
    cx.kernel.keys.lookup(cx.task, id, lookup, need)
}

fn number(key: &Arc<Key>) -> usize {
    key.serial.0 as usize
}

/// The keyring that something is to be linked to; none for 0.
fn destination(cx: &Cx<'_>, id: i32) -> Result<Option<KeyRef>> {
    (id != 0)
        .then(|| lookup(cx, id, Lookup::CREATE, Need::Write))
        .transpose()
}

/// `add_key(2)`.
pub fn add_key(
    cx: &mut Cx<'_>,
    kind: UserCStr,
    description: UserCStr,
    payload: UserInPtr<u8>,
    plen: usize,
    keyring: i32,
) -> Result<usize> {
    ensure!(plen <= PAYLOAD_MAX, EINVAL, "add_key: the payload is too long");
    let kind = type_name(cx, kind)?;
    let description = match description.is_null() {
        true => None,
        false => Some(text(cx, description)?).filter(|text| !text.is_empty()),
    };
    ensure!(
        !(kind.starts_with(b"keyring") && description.as_ref().is_some_and(|text| text[0] == b'.')),
        EPERM,
        "add_key: the kernel's own keyrings begin with a dot"
    );
    let payload = payload.read_bytes(cx, plen)?;
    let ring = lookup(cx, keyring, Lookup::CREATE, Need::Write)?;
    let Some(kind) = KeyType::from_name(&kind) else {
        bail!(ENODEV, "add_key: no such type of key")
    };
    let new = AddKey {
        kind,
        description,
        payload,
    };
    let key = cx.kernel.keys.add(&cx.task.cred(), &ring, new)?;
    Ok(number(&key))
}

/// `request_key(2)`.
pub fn request_key(
    cx: &mut Cx<'_>,
    kind: UserCStr,
    description: UserCStr,
    callout_info: UserCStr,
    dest_keyring: i32,
) -> Result<usize> {
    let kind = type_name(cx, kind)?;
    let description = text(cx, description)?;
    let call_out = !callout_info.is_null();
    if call_out {
        text(cx, callout_info)?;
    }
    let dest = destination(cx, dest_keyring)?;
    let want = RequestKey {
        kind: key_type(&kind)?,
        description,
        call_out,
    };
    let key = cx.kernel.keys.request(cx.task, want, dest.as_ref())?;
    key.check_positive()?;
    key.validate()?;
    Ok(number(&key))
}

const KEYCTL_GET_KEYRING_ID: i32 = 0;
const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
const KEYCTL_UPDATE: i32 = 2;
const KEYCTL_REVOKE: i32 = 3;
const KEYCTL_CHOWN: i32 = 4;
const KEYCTL_SETPERM: i32 = 5;
const KEYCTL_DESCRIBE: i32 = 6;
const KEYCTL_CLEAR: i32 = 7;
const KEYCTL_LINK: i32 = 8;
const KEYCTL_UNLINK: i32 = 9;
const KEYCTL_SEARCH: i32 = 10;
const KEYCTL_READ: i32 = 11;
const KEYCTL_INSTANTIATE: i32 = 12;
const KEYCTL_NEGATE: i32 = 13;
const KEYCTL_SET_REQKEY_KEYRING: i32 = 14;
const KEYCTL_SET_TIMEOUT: i32 = 15;
const KEYCTL_ASSUME_AUTHORITY: i32 = 16;
const KEYCTL_GET_SECURITY: i32 = 17;
const KEYCTL_SESSION_TO_PARENT: i32 = 18;
const KEYCTL_REJECT: i32 = 19;
const KEYCTL_INSTANTIATE_IOV: i32 = 20;
const KEYCTL_INVALIDATE: i32 = 21;
const KEYCTL_GET_PERSISTENT: i32 = 22;
const KEYCTL_RESTRICT_KEYRING: i32 = 29;
const KEYCTL_MOVE: i32 = 30;
const KEYCTL_CAPABILITIES: i32 = 31;

const KEYCTL_MOVE_EXCL: u64 = 1;
const KEY_REQKEY_DEFL_NO_CHANGE: i32 = -1;
const MAX_ERRNO: u64 = 4095;

/// `KEYCTL_CAPS0_*`: this call, persistent keyrings, invalidation, restrictions, moves; `KEYCTL_CAPS1_*`: names of
/// keyrings and keys belong to namespaces.
const CAPABILITIES: [u8; 2] = [0x01 | 0x02 | 0x20 | 0x40 | 0x80, 0x01 | 0x02];

/// `keyctl(2)`.
pub fn keyctl(cx: &mut Cx<'_>, operation: i32, arg2: u64, arg3: u64, arg4: u64, arg5: u64) -> Result<usize> {
    let keys = &cx.kernel.keys.clone();
    let (id, id3, id4, id5) = (arg2 as i32, arg3 as i32, arg4 as i32, arg5 as i32);
    let none = Lookup::empty();
    let any = Lookup::CREATE | Lookup::PARTIAL;
    match operation {
        KEYCTL_GET_KEYRING_ID => {
            let how = if id3 != 0 { Lookup::CREATE } else { none };
            return Ok(number(&lookup(cx, id, how, Need::Search)?.key));
        }
        KEYCTL_JOIN_SESSION_KEYRING => return join_session(cx, UserCStr(UserAddr(arg2))),
        KEYCTL_UPDATE => return update(cx, id, arg3, arg4 as usize),
        KEYCTL_REVOKE => {
            let found = lookup(cx, id, none, Need::Write).or_else(|error| match error.errno() {
                linux_object::error::Errno::EACCES => lookup(cx, id, none, Need::SetAttr),
                _ => Err(error),
            })?;
            keys.revoke(&found.key);
        }
        KEYCTL_CHOWN => return chown(cx, id, arg3 as u32, arg4 as u32),
        KEYCTL_SETPERM => {
            let Some(perm) = KeyPerm::from_bits(arg3 as u32) else {
                bail!(EINVAL, "keyctl: unknown permissions")
            };
            let found = lookup(cx, id, any, Need::SetAttr)?;
            keys.set_perm(&cx.task.cred(), &found.key, perm)?;
        }
        KEYCTL_DESCRIBE => {
            let found = lookup(cx, id, Lookup::PARTIAL, Need::View)?;
            let text = describe(&cx.task.cred(), &found.key);
            return write_all(cx, &text, arg3, arg4);
        }
        KEYCTL_CLEAR => keys.clear(&lookup(cx, id, Lookup::CREATE, Need::Write)?.key)?,
        KEYCTL_LINK => {
            let ring = lookup(cx, id3, Lookup::CREATE, Need::Write)?;
            let key = lookup(cx, id, Lookup::CREATE, Need::Link)?;
            keys.link(&ring.key, &key.key)?;
        }
        KEYCTL_UNLINK => {
            let ring = lookup(cx, id3, none, Need::Write)?;
            let key = lookup(cx, id, Lookup::PARTIAL, Need::Unlink)?;
            keys.unlink(&ring.key, &key.key)?;
        }
        KEYCTL_SEARCH => return search(cx, id, UserCStr(UserAddr(arg3)), UserCStr(UserAddr(arg4)), id5),
        KEYCTL_READ => return read(cx, id, arg3, arg4),
        KEYCTL_SET_REQKEY_KEYRING => {
            if id == KEY_REQKEY_DEFL_NO_CHANGE {
                return Ok(cx.task.cred().keys.request as usize);
            }
            let Some(ring) = RequestKeyring::from_number(id) else {
                bail!(EINVAL, "keyctl: no such keyring for requests")
            };
            return Ok(keys.set_request_keyring(cx.task, ring)? as usize);
        }
        KEYCTL_SET_TIMEOUT => {
            let found = lookup(cx, id, any, Need::SetAttr)?;
            keys.set_timeout(&found.key, i64::from(arg3 as u32));
        }
        KEYCTL_INSTANTIATE | KEYCTL_INSTANTIATE_IOV | KEYCTL_NEGATE | KEYCTL_REJECT => {
            instantiate(operation, arg4)?;
        }
        KEYCTL_ASSUME_AUTHORITY => {
            ensure!(id >= 0, EINVAL, "keyctl: no such key");
            ensure!(id == 0, ENOKEY, "keyctl: nobody asked the caller to make a key");
        }
        KEYCTL_GET_SECURITY => {
            lookup(cx, id, Lookup::PARTIAL, Need::View)?;
            // No security module gives keys a label.
            return write_all(cx, &[0], arg3, arg4);
        }
        KEYCTL_SESSION_TO_PARENT => keys.session_to_parent(cx.task)?,
        KEYCTL_INVALIDATE => keys.invalidate(&lookup(cx, id, none, Need::Search)?.key),
        KEYCTL_GET_PERSISTENT => {
            let cred = cx.task.cred();
            let uid = match arg2 as u32 {
                KEEP => Some(cred.uid),
                uid => cred.user_ns.make_kuid(Uid(uid)),
            };
            let uid = uid.ok_or(err!(EINVAL, "keyctl: the uid is not mapped here"))?;
            return Ok(keys.persistent(cx.task, uid, id3)?.0 as usize);
        }
        KEYCTL_RESTRICT_KEYRING => restrict(cx, id, UserCStr(UserAddr(arg3)), UserCStr(UserAddr(arg4)))?,
        KEYCTL_MOVE => {
            ensure!(
                arg5 as u32 & !(KEYCTL_MOVE_EXCL as u32) == 0,
                EINVAL,
                "keyctl: unknown flags"
            );
            let key = lookup(cx, id, Lookup::CREATE, Need::Link)?;
            let from = lookup(cx, id3, none, Need::Write)?;
            let to = lookup(cx, id4, Lookup::CREATE, Need::Write)?;
            keys.move_link(&key.key, &from.key, &to.key, arg5 & KEYCTL_MOVE_EXCL != 0)?;
        }
        KEYCTL_CAPABILITIES => return capabilities(cx, arg2, arg3 as usize),
        // The calculations with keys and the queue of watches are not built in.
        _ => bail!(EOPNOTSUPP, "keyctl: no such operation here"),
    }
    Ok(0)
}

/// Writes all of it if there is room; gives how much room it needs.
fn write_all(cx: &Cx<'_>, data: &[u8], buffer: u64, len: u64) -> Result<usize> {
    if buffer != 0 && len >= data.len() as u64 {
        UserOutPtr::<u8>::new(UserAddr(buffer)).write_slice(cx, data)?;
    }
    Ok(data.len())
}

fn join_session(cx: &Cx<'_>, name: UserCStr) -> Result<usize> {
    let name = match name.is_null() {
        true => None,
        false => Some(text(cx, name)?),
    };
    let reserved = name.as_ref().is_some_and(|name| name.first() == Some(&b'.'));
    ensure!(
        !reserved,
        EPERM,
        "keyctl: the kernel's own keyrings begin with a dot"
    );
    let joined = cx.kernel.keys.join_session(cx.task, name)?;
    Ok(joined.map_or(0, |serial| serial.0 as usize))
}

fn update(cx: &Cx<'_>, id: i32, payload: u64, len: usize) -> Result<usize> {
    ensure!(
        len <= UPDATE_MAX,
        EINVAL,
        "keyctl: an update has at most 4096 bytes"
    );
    let payload = UserInPtr::<u8>::new(UserAddr(payload)).read_bytes(cx, len)?;
    let found = lookup(cx, id, Lookup::empty(), Need::Write)?;
    cx.kernel.keys.update(&found.key, payload)?;
    Ok(0)
}

fn chown(cx: &Cx<'_>, id: i32, uid: u32, gid: u32) -> Result<usize> {
    if uid == KEEP && gid == KEEP {
        return Ok(0);
    }
    let cred = cx.task.cred();
    let unmapped = || err!(EINVAL, "keyctl: the id is not mapped here");
    let uid = (uid != KEEP).then(|| cred.user_ns.make_kuid(Uid(uid)).ok_or_else(unmapped));
    let gid = (gid != KEEP).then(|| cred.user_ns.make_kgid(Gid(gid)).ok_or_else(unmapped));
    let (uid, gid) = (uid.transpose()?, gid.transpose()?);
    let found = lookup(cx, id, Lookup::CREATE | Lookup::PARTIAL, Need::SetAttr)?;
    cx.kernel.keys.chown(&cred, &found.key, uid, gid)?;
    Ok(0)
}

fn describe(cred: &Cred, key: &Key) -> Vec<u8> {
    let info = key.info();
    let uid = cred.user_ns.from_kuid_munged(info.uid).0;
    let nobody = linux_object::ids::Kgid(u32::MAX);
    let gid = cred.user_ns.from_kgid_munged(info.gid.unwrap_or(nobody)).0;
    let kind = key.index.kind.name();
    let mut text = alloc::format!("{kind};{uid};{gid};{:08x};", info.perm.bits()).into_bytes();
    text.extend_from_slice(&key.index.description);
    text.push(0);
    text
}

fn search(cx: &Cx<'_>, ring: i32, kind: UserCStr, description: UserCStr, dest: i32) -> Result<usize> {
    let kind = type_name(cx, kind)?;
    let description = text(cx, description)?;
    let ring = lookup(cx, ring, Lookup::empty(), Need::Search)?;
    let dest = destination(cx, dest)?;
    let cred = cx.task.cred();
    let found = cx
        .kernel
        .keys
        .search(&cred, &ring, key_type(&kind)?, &description)?;
    if let Some(dest) = dest {
        found.permission(&cred, Need::Link)?;
        cx.kernel.keys.link(&dest.key, &found.key)?;
    }
    Ok(number(&found.key))
}

/// Who possesses a key may read it too.
fn read(cx: &Cx<'_>, id: i32, buffer: u64, len: u64) -> Result<usize> {
    let found = lookup(cx, id, Lookup::empty(), Need::Deferred);
    let found = found.map_err(|_| err!(ENOKEY, "keyctl: no such key"))?;
    found.key.check_positive()?;
    if !found.possessed {
        found.permission(&cx.task.cred(), Need::Read)?;
    }
    ensure!(
        found.key.index.kind.is_readable(),
        EOPNOTSUPP,
        "keyctl: keys of this type are not read"
    );
    found.key.validate()?;
    write_all(cx, &found.key.read()?, buffer, len)
}

/// Nobody is ever asked to make a key.
fn instantiate(operation: i32, error: u64) -> Result<()> {
    if operation == KEYCTL_REJECT {
        // The codes of interrupted calls are the kernel's own.
        let known = (1..MAX_ERRNO).contains(&error) && !(512..=516).contains(&error);
        ensure!(known, EINVAL, "keyctl: no such error");
    }
    bail!(EPERM, "keyctl: nobody asked the caller to make a key")
}

fn restrict(cx: &Cx<'_>, id: i32, kind: UserCStr, restriction: UserCStr) -> Result<()> {
    let found = lookup(cx, id, Lookup::empty(), Need::SetAttr)?;
    ensure!(
        kind.is_null() == restriction.is_null(),
        EINVAL,
        "keyctl: a restriction has a type and a text, or neither"
    );
    if !kind.is_null() {
        let kind = type_name(cx, kind)?;
        text(cx, restriction)?;
        found.check_keyring()?;
        key_type(&kind)?;
        bail!(ENOENT, "keyctl: the type has no restrictions");
    }
    cx.kernel.keys.restrict(&found.key)
}

fn capabilities(cx: &Cx<'_>, buffer: u64, len: usize) -> Result<usize> {
    let buffer = UserOutPtr::<u8>::new(UserAddr(buffer));
    let told = len.min(CAPABILITIES.len());
    buffer.write_slice(cx, &CAPABILITIES[..told])?;
    // The rest of a larger buffer is zeroed.
    let mut at = told;
    while at < len {
        let zeroes = [0; 256];
        let part = (len - at).min(zeroes.len());
        buffer.at(at).write_slice(cx, &zeroes[..part])?;
        at += part;
    }
    Ok(CAPABILITIES.len())
}
