//! What the boot loader hands over (Xen `public/arch-x86/hvm/start_info.h`).
//!
//! Everything is copied out before memory is given to the allocator.

use crate::mm::phys_to_virt;

#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    nr_modules: u32,
    modlist: u64,
    cmdline: u64,
    rsdp: u64,
    memmap: u64,
    memmap_entries: u32,
    reserved: u32,
}

#[repr(C)]
struct Module {
    start: u64,
    size: u64,
    cmdline: u64,
    reserved: u64,
}

#[repr(C)]
struct MemmapEntry {
    addr: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

const MAGIC: u32 = 0x336e_c578;
const KIND_RAM: u32 = 1;
/// Longest command line (Linux's `COMMAND_LINE_SIZE`).
const CMDLINE_MAX: usize = 2048;
const REGIONS_MAX: usize = 32;

/// The loader's data.
pub struct BootData {
    cmdline: [u8; CMDLINE_MAX],
    cmdline_len: usize,
    /// Physical address and length of the initial RAM disk.
    pub initrd: Option<(u64, u64)>,
    /// Physical address of the ACPI root pointer.
    pub rsdp: u64,
    regions: [(u64, u64); REGIONS_MAX],
    regions_len: usize,
}

impl BootData {
    /// Copies the data.
    ///
    /// # Safety
    /// `start_info` is the address that the PVH loader passed, and the boot page tables are in use.
    pub unsafe fn read(start_info: u64) -> BootData {
        let mut data = BootData {
            cmdline: [0; CMDLINE_MAX],
            cmdline_len: 0,
            initrd: None,
            rsdp: 0,
            regions: [(0, 0); REGIONS_MAX],
            regions_len: 0,
        };
        // SAFETY: by the contract; the boot tables map the first 4 GiB, where the loader puts it.
        let info = unsafe { &*phys_to_virt::<StartInfo>(start_info) };
        assert!(
            info.magic == MAGIC && info.version >= 1,
            "not started by a PVH loader"
        );
        data.rsdp = info.rsdp;
        if info.cmdline != 0 {
            while data.cmdline_len < CMDLINE_MAX {
                // SAFETY: a string that ends with zero, below 4 GiB.
                let byte = unsafe { *phys_to_virt::<u8>(info.cmdline + data.cmdline_len as u64) };
                if byte == 0 {
                    break;
                }
                data.cmdline[data.cmdline_len] = byte;
                data.cmdline_len += 1;
            }
        }
        if info.nr_modules > 0 {
            // SAFETY: the loader's list of that many modules, below 4 GiB.
            let module = unsafe { &*phys_to_virt::<Module>(info.modlist) };
            if module.size > 0 {
                data.initrd = Some((module.start, module.size));
            }
        }
        for i in 0..info.memmap_entries as usize {
            // SAFETY: the loader's memory map of that many entries, below 4 GiB.
            let entry = unsafe { &*phys_to_virt::<MemmapEntry>(info.memmap).add(i) };
            let (start, end) = (
                entry.addr.next_multiple_of(4096),
                (entry.addr + entry.size) & !4095,
            );
            if entry.kind == KIND_RAM && start < end && data.regions_len < REGIONS_MAX {
                data.regions[data.regions_len] = (start, end);
                data.regions_len += 1;
            }
        }
        data
    }

    /// The command line.
    pub fn cmdline(&self) -> &str {
        let bytes = &self.cmdline[..self.cmdline_len];
        match core::str::from_utf8(bytes) {
            Ok(cmdline) => cmdline,
            Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""),
        }
    }

    /// RAM, as pairs of start and end.
    pub fn ram(&self) -> &[(u64, u64)] {
        &self.regions[..self.regions_len]
    }
}
