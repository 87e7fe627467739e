//! The I/O APIC (Intel 82093AA), and the 8259s, which stay masked.

use x86_64::instructions::port::Port;

use super::acpi::MachineInfo;
use super::kernel_map;

const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;

fn write(base: *mut u32, register: u32, value: u32) {
    // SAFETY: index and data register of an I/O APIC, mapped uncached; used on the boot CPU only.
    unsafe {
        base.write_volatile(register);
        base.add(4).write_volatile(value);
    }
}

fn read(base: *mut u32, register: u32) -> u32 {
    // SAFETY: as in `write`.
    unsafe {
        base.write_volatile(register);
        base.add(4).read_volatile()
    }
}

/// Masks everything, then routes one ISA interrupt to a CPU.
pub fn init(info: &MachineInfo, isa_irq: u8, vector: u8, apic_id: u32) {
    mask_8259();
    let line = info.isa_irq(isa_irq);
    for io_apic in info.io_apics() {
        let base = kernel_map::map_physical::<u32>(io_apic.address, 32, kernel_map::DEVICE);
        let lines = (read(base, 1) >> 16 & 0xff) + 1;
        for i in 0..lines {
            write(base, 0x10 + 2 * i, MASKED);
        }
        if let Some(i) = line.gsi.checked_sub(io_apic.gsi_base)
            && i < lines
        {
            let mut low = u32::from(vector);
            if line.level {
                low |= LEVEL;
            }
            if line.active_low {
                low |= ACTIVE_LOW;
            }
            write(base, 0x11 + 2 * i, apic_id << 24);
            write(base, 0x10 + 2 * i, low);
        }
    }
}

/// Moves the 8259s' vectors away from the exceptions and masks all their lines.
fn mask_8259() {
    for (base, vector, cascade) in [(0x20, 0x20, 4), (0xa0, 0x28, 2)] {
        let (mut command, mut data) = (Port::<u8>::new(base), Port::<u8>::new(base + 1));
        // SAFETY: the initialisation sequence of the 8259 at its standard ports.
        unsafe {
            command.write(0x11);
            data.write(vector);
            data.write(cascade);
            data.write(1);
            data.write(0xff);
        }
    }
}
