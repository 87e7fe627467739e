//! What the firmware's tables say about the machine (ACPI 6.5, 5.2), copied out once at boot.

use core::ptr::NonNull;

use acpi::fadt::Fadt;
use acpi::hpet::HpetInfo;
use acpi::madt::{Madt, MadtEntry};
use acpi::sdt::SdtHeader;
use acpi::{AcpiHandler, AcpiTables, PhysicalMapping};
use alloc::vec::Vec;

use super::kernel_map;
use super::percpu::MAX_CPUS;

#[derive(Clone)]
struct Handler;

impl AcpiHandler for Handler {
    unsafe fn map_physical_region<T>(&self, phys: usize, size: usize) -> PhysicalMapping<Self, T> {
        let virt = kernel_map::map_physical::<T>(phys as u64, size as u64, kernel_map::READ_WRITE);
        let virt = NonNull::new(virt).expect("the direct map is not at 0");
        // SAFETY: the region is mapped and stays so.
        unsafe { PhysicalMapping::new(phys, virt, size, size, Handler) }
    }

    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}
}

/// An I/O APIC.
#[derive(Clone, Copy, Debug)]
pub struct IoApic {
    /// Physical address of its registers.
    pub address: u64,
    /// Number of its first line.
    pub gsi_base: u32,
}

/// How an ISA interrupt arrives.
#[derive(Clone, Copy, Debug)]
pub struct IsaLine {
    irq: u8,
    /// Number of the line.
    pub gsi: u32,
    /// Level-triggered.
    pub level: bool,
    /// Active low.
    pub active_low: bool,
}

/// The machine.
#[derive(Default, Debug)]
pub struct MachineInfo {
    /// Local APIC ids of the usable CPUs.
    pub cpus: Vec<u32>,
    io_apics: Vec<IoApic>,
    overrides: Vec<IsaLine>,
    /// Physical address of the HPET.
    pub hpet: Option<u64>,
    /// Port of the ACPI PM timer.
    pub pm_timer: Option<u16>,
    /// Port of the PM1a control register, and the sleep type of state S5.
    pub power_off: Option<(u16, u16)>,
    /// Reset register's port and value.
    pub reset: Option<(u16, u8)>,
    /// CMOS index of the century, or 0.
    pub rtc_century: u8,
}

impl MachineInfo {
    /// Reads the tables that start at the root pointer.
    pub fn read(rsdp: u64) -> MachineInfo {
        let mut info = MachineInfo::default();
        // SAFETY: the loader's root pointer; the handler maps whatever is asked for.
        match unsafe { AcpiTables::from_rsdp(Handler, rsdp as usize) } {
            Ok(tables) => info.read_tables(&tables),
            Err(error) => log::warn!("no ACPI tables: {error:?}"),
        }
        info
    }

    fn read_tables(&mut self, tables: &AcpiTables<Handler>) {
        match tables.find_table::<Madt>() {
            Ok(madt) => self.read_madt(&madt),
            Err(error) => log::warn!("no MADT: {error:?}"),
        }
        self.hpet = HpetInfo::new(tables).ok().map(|hpet| hpet.base_address as u64);
        let Ok(fadt) = tables.find_table::<Fadt>() else {
            return;
        };
        let io_port = |address: acpi::address::GenericAddress| {
            let is_port = address.address_space == acpi::address::AddressSpace::SystemIo;
            u16::try_from(address.address)
                .ok()
                .filter(|&port| is_port && port != 0)
        };
        self.pm_timer = fadt.pm_timer_block().ok().flatten().and_then(io_port);
        self.rtc_century = fadt.century;
        let pm1a = fadt.pm1a_control_block().ok().and_then(io_port);
        if let (Some(port), Ok(dsdt)) = (pm1a, tables.dsdt()) {
            let aml = kernel_map::map_physical::<u8>(
                dsdt.address as u64,
                u64::from(dsdt.length),
                kernel_map::READ_WRITE,
            );
            // SAFETY: the table, mapped with the length that its header gives.
            let aml = unsafe { core::slice::from_raw_parts(aml, dsdt.length as usize) };
            self.power_off = find_s5(aml).map(|kind| (port, kind));
        }
        // The reset register came with revision 2 of the table, at offset 116.
        if fadt_has_reset(&fadt) {
            // SAFETY: the table is at least 129 bytes long.
            let raw = unsafe { core::slice::from_raw_parts((&raw const *fadt).cast::<u8>(), 129) };
            let supported = raw[113] & 4 != 0;
            if supported && raw[116] == 1 {
                self.reset = Some((u16::from_le_bytes([raw[120], raw[121]]), raw[128]));
            }
        }
    }

    fn read_madt(&mut self, madt: &PhysicalMapping<Handler, Madt>) {
        for entry in madt.get().entries() {
            match entry {
                MadtEntry::LocalApic(apic) if { apic.flags } & 1 != 0 => {
                    self.add_cpu(u32::from(apic.apic_id));
                }
                MadtEntry::LocalX2Apic(apic) if { apic.flags } & 1 != 0 => {
                    self.add_cpu(apic.x2apic_id);
                }
                MadtEntry::IoApic(io_apic) => self.io_apics.push(IoApic {
                    address: u64::from(io_apic.io_apic_address),
                    gsi_base: io_apic.global_system_interrupt_base,
                }),
                MadtEntry::InterruptSourceOverride(line) => self.overrides.push(IsaLine {
                    irq: line.irq,
                    gsi: line.global_system_interrupt,
                    level: { line.flags } & 0b1100 == 0b1100,
                    active_low: { line.flags } & 0b11 == 0b11,
                }),
                _ => {}
            }
        }
    }

    fn add_cpu(&mut self, apic_id: u32) {
        if self.cpus.len() < MAX_CPUS && !self.cpus.contains(&apic_id) {
            self.cpus.push(apic_id);
        }
    }

    /// The I/O APICs.
    pub fn io_apics(&self) -> &[IoApic] {
        &self.io_apics
    }

    /// Where an ISA interrupt arrives: one to one, edge, active high, unless overridden.
    pub fn isa_irq(&self, irq: u8) -> IsaLine {
        let given = self.overrides.iter().find(|line| line.irq == irq);
        given.copied().unwrap_or(IsaLine {
            irq,
            gsi: u32::from(irq),
            level: false,
            active_low: false,
        })
    }
}

fn fadt_has_reset(fadt: &Fadt) -> bool {
    use acpi::AcpiTable;
    let header: &SdtHeader = fadt.header();
    let length = header.length;
    length >= 129
}

/// The sleep type for PM1a in the package `\_S5`. The definition is always
/// `Name (_S5, Package { a, b, … })` with small integers, so no interpreter is needed.
fn find_s5(aml: &[u8]) -> Option<u16> {
    const PACKAGE: u8 = 0x12;
    const BYTE: u8 = 0x0a;
    let at = aml.windows(4).position(|name| name == b"_S5_")? + 4;
    let rest = aml.get(at..)?;
    if *rest.first()? != PACKAGE {
        return None;
    }
    // The package's length takes one to four bytes, then comes the number of elements.
    let length_bytes = usize::from(rest.get(1)? >> 6) + 1;
    let element = rest.get(2 + length_bytes..)?;
    let kind = match *element.first()? {
        BYTE => *element.get(1)?,
        small => small,
    };
    Some(u16::from(kind))
}
