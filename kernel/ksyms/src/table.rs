//! The table of function names.

use crate::elf::File;

/// Link address of physical address 0.
const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
const MAGIC: &[u8; 8] = b"ZCELLSYM";
/// Longer names (of closures in generic functions) are cut.
const NAME_MAX: usize = 120;

/// Builds it for a linked kernel.
pub fn build(file: &File<'_>) -> Result<Vec<u8>, String> {
    let functions = file.functions(KERNEL_BASE)?;
    let count = u32::try_from(functions.len()).map_err(|e| e.to_string())?;
    // Header, addresses, offsets of names (one more than there are names), names.
    let names_at = 16 + 4 * functions.len() + 4 * (functions.len() + 1);
    let mut names = String::new();
    let mut offsets = Vec::new();
    for function in &functions {
        offsets.push(names_at + names.len());
        let full = format!("{:#}", rustc_demangle::demangle(function.name));
        names.extend(full.chars().take(NAME_MAX));
    }
    offsets.push(names_at + names.len());

    let word = |n: u64| u32::try_from(n).map(u32::to_le_bytes).map_err(|e| e.to_string());
    let len = (names_at + names.len()).next_multiple_of(8);
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&word(len as u64)?);
    out.extend_from_slice(&count.to_le_bytes());
    for function in &functions {
        out.extend_from_slice(&word(function.addr - KERNEL_BASE)?);
    }
    for offset in offsets {
        out.extend_from_slice(&word(offset as u64)?);
    }
    out.extend_from_slice(names.as_bytes());
    out.resize(len, 0);
    Ok(out)
}
