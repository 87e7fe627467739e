//! PCI (PCI Local Bus 3.0): configuration space through the ports of PC chipsets, functions by walking the buses that
//! the firmware has numbered, interrupts as messages (MSI-X). Base addresses are as the firmware left them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use virtio_drivers::transport::pci::bus::{
    BarInfo, Command, ConfigurationAccess, DeviceFunction, DeviceFunctionInfo, HeaderType, PciRoot,
};
use x86_64::instructions::port::Port;

use crate::arch::kernel_map;
use crate::mm::{KSTACK_BASE, PHYS_OFFSET};
use crate::sync::Lock;

/// `CONFIG_ADDRESS` and `CONFIG_DATA`.
static PORTS: Lock<(Port<u32>, Port<u32>)> = Lock::new((Port::new(0xcf8), Port::new(0xcfc)));

/// The capability of message-signalled interrupts with a table.
const CAP_MSIX: u8 = 0x11;
const MSIX_ENABLE: u32 = 1 << 31;
const MSIX_MASK_ALL: u32 = 1 << 30;
/// The register with a bridge's bus numbers.
const BUS_NUMBERS: u8 = 0x18;

/// Configuration space through the ports.
pub struct PortCam;

fn select(function: DeviceFunction, offset: u8) -> u32 {
    let DeviceFunction {
        bus,
        device,
        function,
    } = function;
    1 << 31
        | u32::from(bus) << 16
        | u32::from(device) << 11
        | u32::from(function) << 8
        | u32::from(offset & 0xfc)
}

impl ConfigurationAccess for PortCam {
    fn read_word(&self, function: DeviceFunction, offset: u8) -> u32 {
        let (address, data) = &mut *PORTS.lock();
        // SAFETY: the ports of configuration mechanism 1; the lock makes the pair of accesses one. Without
        // the mechanism all bits are set, which is "no such function".
        unsafe {
            address.write(select(function, offset));
            data.read()
        }
    }
    fn write_word(&mut self, function: DeviceFunction, offset: u8, value: u32) {
        let (address, data) = &mut *PORTS.lock();
        // SAFETY: as in `read_word`.
        unsafe {
            address.write(select(function, offset));
            data.write(value);
        }
    }
    unsafe fn unsafe_clone(&self) -> PortCam {
        PortCam
    }
}

/// Every function behind the host bridge with its path below `/sys/devices`, in the order of buses.
pub fn functions(root: &PciRoot<PortCam>) -> Vec<(DeviceFunction, DeviceFunctionInfo, String)> {
    let mut found = Vec::new();
    let mut buses = alloc::vec![(0u8, String::from("pci0000:00"))];
    while let Some((bus, parent)) = buses.pop() {
        for (function, info) in root.enumerate_bus(bus) {
            let DeviceFunction {
                bus,
                device,
                function: nr,
            } = function;
            let path = format!("{parent}/0000:{bus:02x}:{device:02x}.{nr}");
            if info.header_type == HeaderType::PciPciBridge {
                let secondary = (PortCam.read_word(function, BUS_NUMBERS) >> 8) as u8;
                // Buses are numbered downwards, so this ends.
                if secondary > bus {
                    buses.push((secondary, path.clone()));
                }
            }
            found.push((function, info, path));
        }
    }
    found
}

/// The registers at `offset` behind a base address, mapped uncached; `None` if there is no such memory.
pub fn map_bar<T>(
    root: &mut PciRoot<PortCam>,
    function: DeviceFunction,
    bar: u8,
    offset: u32,
    len: u64,
) -> Option<*mut T> {
    let Ok(Some(BarInfo::Memory { address, size, .. })) = root.bar_info(function, bar) else {
        return None;
    };
    let fits = address != 0
        && u64::from(offset) + len <= size
        && address + size <= (KSTACK_BASE - PHYS_OFFSET).min(1 << 39) as u64;
    fits.then(|| kernel_map::map_physical(address + u64::from(offset), len, kernel_map::DEVICE))
}

/// Lets a function use memory, and send `vectors` as messages to a CPU instead of pulling its line. Whether it can.
pub fn enable_msix(
    root: &mut PciRoot<PortCam>,
    function: DeviceFunction,
    vectors: &[u8],
    apic_id: u32,
) -> bool {
    let (_, command) = root.get_status_command(function);
    let wanted = Command::MEMORY_SPACE | Command::BUS_MASTER | Command::INTERRUPT_DISABLE;
    root.set_command(function, (command | wanted) - Command::IO_SPACE);
    let found = root.capabilities(function).find(|cap| cap.id == CAP_MSIX);
    let Some(cap) = found else { return false };
    let entries = (cap.private_header & 0x7ff) as usize + 1;
    let at = PortCam.read_word(function, cap.offset + 4);
    let table = map_bar::<u32>(root, function, (at & 7) as u8, at & !7, 16 * entries as u64);
    let Some(table) = table.filter(|_| vectors.len() <= entries) else {
        return false;
    };
    for (i, &vector) in vectors.iter().enumerate() {
        let entry = [0xfee0_0000 | apic_id << 12, 0, u32::from(vector), 0];
        for (j, word) in entry.into_iter().enumerate() {
            // SAFETY: within the table, as just checked; the function sends nothing before it is enabled.
            unsafe { table.add(4 * i + j).write_volatile(word) };
        }
    }
    let control = PortCam.read_word(function, cap.offset);
    PortCam.write_word(function, cap.offset, (control | MSIX_ENABLE) & !MSIX_MASK_ALL);
    true
}
