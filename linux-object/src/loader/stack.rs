//! The new program's stack (Linux's `setup_arg_pages` and `create_elf_tables`).
//!
//! From the top: eight zero bytes, the file name, the environment strings, the argument strings; below
//! a random gap the platform name and the random bytes; then, from the stack pointer upwards,
//! `argc`, the argument pointers, the environment pointers and the auxiliary vector.

use alloc::vec::Vec;

use super::args::{self, ArgStrings};
use super::auxv::{self, AuxInfo};
use super::layout::{Placement, page_down};
use crate::ensure;
use crate::error::Result;
use crate::ids::{PAGE_SIZE, UserAddr};
use crate::mm::{Mm, MmQuota};

/// Stack that is mapped from the start.
const STACK_EXPAND: u64 = 131072;
const PLATFORM: &[u8] = b"x86_64\0";

/// Where the strings are, and the pointer below them.
pub struct Strings {
    sp: u64,
    filename: u64,
    argv: u64,
    envp: u64,
    end: u64,
    /// The lowest mapped address of the stack.
    bottom: u64,
}

fn write(mm: &Mm, addr: u64, data: &[u8]) -> Result<()> {
    let written = mm.write_remote(UserAddr(addr), data)?;
    ensure!(written == data.len(), ENOMEM, "no memory for the new stack");
    Ok(())
}

/// Maps the stack and puts the strings on it.
pub fn set_up(
    mm: &Mm,
    who: &dyn MmQuota,
    place: &Placement<'_>,
    exec_stack: bool,
    filename: &[u8],
    argv: &ArgStrings,
    envp: &ArgStrings,
) -> Result<Strings> {
    let bytes = filename.len() + 1 + argv.bytes().len() + envp.bytes().len();
    let count = (argv.count().max(1) + envp.count()) as u64;
    args::check_size(who.limit_stack(), count, bytes as u64)?;
    let top = place.stack_top();
    let end = top - 8;
    let filename_at = end - filename.len() as u64 - 1;
    let envp_at = filename_at - envp.bytes().len() as u64;
    let argv_at = envp_at - argv.bytes().len() as u64;
    // Room for the tables and the gap above them is there before the rest grows on demand.
    let tables = count * 8 + 16384;
    let bottom = page_down(argv_at - STACK_EXPAND - tables);
    mm.map_stack(who, bottom..top, exec_stack)?;
    let mut strings = Vec::new();
    ensure!(
        strings.try_reserve_exact(bytes).is_ok(),
        ENOMEM,
        "no memory for arguments"
    );
    strings.extend_from_slice(argv.bytes());
    strings.extend_from_slice(envp.bytes());
    strings.extend_from_slice(filename);
    strings.push(0);
    write(mm, argv_at, &strings)?;
    Ok(Strings {
        sp: argv_at,
        filename: filename_at,
        argv: argv_at,
        envp: envp_at,
        end: filename_at,
        bottom,
    })
}

impl Strings {
    /// Writes the tables below the strings; returns the stack pointer.
    pub fn write_tables(
        &self,
        mm: &Mm,
        place: &Placement<'_>,
        argv: &ArgStrings,
        envp: &ArgStrings,
        random: &[u8; 16],
        mut info: AuxInfo<'_>,
    ) -> Result<u64> {
        let top = place.align_stack(self.sp);
        info.platform = top - PLATFORM.len() as u64;
        info.random = info.platform - 16;
        info.execfn = self.filename;
        let entries = auxv::entries(&info);
        let used = auxv::used(&entries);
        let words = 1 + argv.count() + 1 + envp.count() + 1;
        let len = (words + 2 * used) as u64 * 8;
        let sp = ((info.random & !0xf) - len) & !0xf;
        ensure!(sp > self.bottom, E2BIG, "no room for the tables");
        let mut table: Vec<u8> = Vec::new();
        ensure!(
            table.try_reserve_exact(len as usize).is_ok(),
            ENOMEM,
            "no memory for the tables of the new stack"
        );
        let mut word = |value: u64| table.extend_from_slice(&value.to_le_bytes());
        word(argv.count() as u64);
        for (strings, start) in [(argv, self.argv), (envp, self.envp)] {
            let mut at = start;
            for string in strings.iter() {
                word(at);
                at += string.len() as u64 + 1;
            }
            word(0);
        }
        for (kind, value) in &entries[..used] {
            word(*kind);
            word(*value);
        }
        let mut above = [0; 16 + PLATFORM.len()];
        above[..16].copy_from_slice(random);
        above[16..].copy_from_slice(PLATFORM);
        write(mm, info.random, &above)?;
        write(mm, sp, &table)?;
        mm.set_layout(|layout| {
            layout.start_stack = sp;
            layout.arg_start = self.argv;
            layout.arg_end = self.envp;
            layout.env_start = self.envp;
            layout.env_end = self.end;
            layout.auxv = entries;
        });
        Ok(sp)
    }
}

const _: () = assert!(STACK_EXPAND.is_multiple_of(PAGE_SIZE as u64));
