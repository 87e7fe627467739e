//! Network cards of virtual machines (Virtual I/O Device 1.2, 5.1), on PCI.
//!
//! Model: a queue of buffers that the device fills and one of buffers that it sends, each buffer half a page that
//! stays the queue's for good, so a card costs a mebibyte and nothing is allocated later. A frame is copied once in
//! either direction. What came in is told by an interrupt; that something was sent is seen when the next frame is.
//! Everything of a card is behind one lock, which is a leaf: what was received is handed on without it.
//!
//! Only cards with messages for interrupts are taken (MSI-X, which every version of the standard's PCI
//! transport has in QEMU).

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst, fence};

use linux_object::hal::Nic;
use linux_object::ids::PAGE_SIZE;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::pci::bus::{
    CapabilityInfo, ConfigurationAccess, DeviceFunction, PCI_CAP_ID_VNDR, PciRoot,
};
use virtio_drivers::transport::pci::{PciTransport, VIRTIO_PCI_CAP_COMMON_CFG, virtio_device_type};
use virtio_drivers::transport::{DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

use super::pci::{self, PortCam};
use crate::arch::{apic, interrupts};
use crate::mm::frames::{self, Reserve};
use crate::mm::{frame_to_virt, virt_to_phys};
use crate::sync::{BootCell, Lock};
use crate::upcall;

/// Buffers of either queue.
const QUEUE: usize = 256;
/// Bytes of a buffer.
const BUFFER: usize = PAGE_SIZE / 2;
/// `struct virtio_net_hdr` of version 1, in front of each frame. All zeros: no offloads.
const HEADER: usize = 12;
/// Headers of Ethernet and of a VLAN.
const ETH_HLEN: usize = 14;
const VLAN_HLEN: usize = 4;
/// Longest frame.
const MAX_FRAME: usize = BUFFER - HEADER;

const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;

/// In the table of messages: news of queues, news of the settings.
const VECTORS: [u8; 2] = [interrupts::NIC, interrupts::NIC_CONFIG];
const NO_VECTOR: u16 = 0xffff;
/// Offsets in the common configuration.
const MSIX_CONFIG: usize = 0x10;
const QUEUE_SELECT: usize = 0x16;
const QUEUE_MSIX_VECTOR: usize = 0x1a;
/// Offset of the link's state in the card's settings.
const STATUS: usize = 6;
const LINK_UP: u16 = 1;

bitflags::bitflags! {
    /// What is asked for. Not `EVENT_IDX`: the crate compares its indices as if they did not wrap.
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const MAC = 1 << 5;
        const STATUS = 1 << 16;
        const VERSION_1 = 1 << 32;
    }
}

/// Memory for devices.
struct Dma;

// SAFETY: memory comes from the frame allocator and is seen through the direct map, which devices see
// one to one; registers are mapped by `pci::map_bar`'s rules.
unsafe impl Hal for Dma {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let Some(pfn) = frames::alloc_many(pages, Reserve::Use) else {
            return (0, NonNull::dangling());
        };
        let start = frame_to_virt(pfn);
        for page in 0..pages as u32 {
            frames::meta(pfn + page).refs.store(1, Relaxed);
        }
        // SAFETY: frames that are ours now.
        unsafe { start.write_bytes(0, pages * PAGE_SIZE) };
        let start = NonNull::new(start).expect("the direct map is not at 0");
        (virt_to_phys(start.addr().get()), start)
    }
    unsafe fn dma_dealloc(phys: PhysAddr, _: NonNull<u8>, pages: usize) -> i32 {
        let pfn = (phys / PAGE_SIZE as u64) as u32;
        for page in 0..pages as u32 {
            frames::meta(pfn + page).refs.store(0, Relaxed);
        }
        frames::free_many(pfn, pages);
        0
    }
    unsafe fn mmio_phys_to_virt(phys: PhysAddr, size: usize) -> NonNull<u8> {
        use crate::arch::kernel_map::{DEVICE, map_physical};
        NonNull::new(map_physical(phys, size as u64, DEVICE)).expect("the direct map is not at 0")
    }
    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        virt_to_phys(buffer.cast::<u8>().addr().get())
    }
    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// The buffers of a queue, which are never freed.
struct Buffers(NonNull<u8>);

// SAFETY: memory that nobody else has; whoever has the card's lock has it.
unsafe impl Send for Buffers {}

impl Buffers {
    fn new() -> Option<Buffers> {
        let (phys, start) = Dma::dma_alloc(QUEUE * BUFFER / PAGE_SIZE, BufferDirection::Both);
        (phys != 0).then_some(Buffers(start))
    }
    /// A buffer, by the number of its descriptor.
    ///
    /// # Safety
    /// The device does not have it, and nobody else uses it meanwhile.
    unsafe fn get<'a>(&self, at: u16) -> &'a mut [u8] {
        assert!(usize::from(at) < QUEUE, "no such buffer");
        // SAFETY: within the memory, as just checked; exclusive by the contract.
        unsafe { core::slice::from_raw_parts_mut(self.0.as_ptr().add(usize::from(at) * BUFFER), BUFFER) }
    }
}

struct Queue {
    ring: VirtQueue<Dma, QUEUE>,
    buffers: Buffers,
    /// Which buffer a descriptor stands for.
    buffer_of: [u16; QUEUE],
    /// Buffers that the device does not have.
    free: Vec<u16>,
}

impl Queue {
    fn new(transport: &mut PciTransport, index: u16) -> Option<Queue> {
        let ring = VirtQueue::new(transport, index, false, false).ok()?;
        Some(Queue {
            ring,
            buffers: Buffers::new()?,
            buffer_of: [0; QUEUE],
            free: (0..QUEUE as u16).collect(),
        })
    }

    /// Gives a buffer to the device: `Some(len)` bytes to send, or the whole to fill.
    fn give(&mut self, buffer: u16, len: Option<usize>) {
        // SAFETY: the buffer is free, so neither the device nor a receiver has it, and it stays the
        // device's until `take` has popped it.
        let added = unsafe {
            let bytes = self.buffers.get(buffer);
            match len {
                Some(len) => self.ring.add(&[&bytes[..len]], &mut []),
                None => self.ring.add(&[], &mut [bytes]),
            }
        };
        // There are as many descriptors as buffers.
        let token = added.expect("a descriptor for every buffer");
        self.buffer_of[usize::from(token)] = buffer;
    }

    /// Takes back a buffer that the device is done with: its number, and how much was filled.
    fn take(&mut self) -> Option<(u16, usize)> {
        let token = self.ring.peek_used()?;
        let buffer = *self.buffer_of.get(usize::from(token))?;
        // SAFETY: the buffer that the descriptor was made for. Its contents are not looked at here, and its length
        // counts for nothing without an IOMMU.
        let len = unsafe {
            let bytes = self.buffers.get(buffer);
            self.ring.pop_used(token, &[], &mut [bytes])
        };
        Some((buffer, (len.ok()? as usize).min(BUFFER)))
    }

    /// Whether the device wants to be told of what it was given.
    fn must_tell(&self) -> bool {
        // The device sees the new index before we see whether it sleeps.
        fence(SeqCst);
        self.ring.should_notify()
    }
}

struct State {
    transport: PciTransport,
    receive: Queue,
    transmit: Queue,
}

/// A card.
struct Card {
    mac: [u8; 6],
    path: String,
    state: Lock<State>,
}

impl Card {
    /// `None`: the device is not one that we can use.
    fn new(root: &mut PciRoot<PortCam>, function: DeviceFunction, path: String) -> Option<Card> {
        if !pci::enable_msix(root, function, &VECTORS, apic::id()) {
            log::warn!("{path}: no MSI-X, not used");
            return None;
        }
        let common = common_config(root, function)?;
        let mut transport = match PciTransport::new::<Dma, _>(root, function) {
            Ok(transport) => transport,
            Err(error) => {
                log::warn!("{path}: {error}, not used");
                return None;
            }
        };
        let features = transport.begin_init(Features::all());
        if !features.contains(Features::VERSION_1 | Features::MAC) {
            log::warn!("{path}: only {features:?}, not used");
            return None;
        }
        let write = |offset: usize, value: u16| {
            // SAFETY: registers of the common configuration, which is mapped; nobody else uses the device yet.
            unsafe { common.add(offset / 2).write_volatile(value) };
        };
        write(MSIX_CONFIG, 1);
        // That something was sent is nothing to be interrupted for.
        for (queue, vector) in [(RECEIVE, 0), (TRANSMIT, NO_VECTOR)] {
            write(QUEUE_SELECT, queue);
            write(QUEUE_MSIX_VECTOR, vector);
        }
        let mac = transport
            .read_consistent(|| transport.read_config_space(0))
            .ok()?;
        let mut receive = Queue::new(&mut transport, RECEIVE)?;
        let mut transmit = Queue::new(&mut transport, TRANSMIT)?;
        transmit.ring.set_dev_notify(false);
        while let Some(buffer) = receive.free.pop() {
            receive.give(buffer, None);
        }
        transport.finish_init();
        transport.notify(RECEIVE);
        Some(Card {
            mac,
            path,
            state: Lock::new(State {
                transport,
                receive,
                transmit,
            }),
        })
    }
}

/// The common configuration's registers: the messages for queues are told there, which the crate leaves out.
fn common_config(root: &mut PciRoot<PortCam>, function: DeviceFunction) -> Option<*mut u16> {
    let is_common = |cap: &CapabilityInfo| {
        cap.id == PCI_CAP_ID_VNDR && (cap.private_header >> 8) as u8 == VIRTIO_PCI_CAP_COMMON_CFG
    };
    let cap = root.capabilities(function).find(is_common)?;
    let bar = PortCam.read_word(function, cap.offset + 4) as u8;
    let offset = PortCam.read_word(function, cap.offset + 8);
    pci::map_bar(root, function, bar, offset, 0x38)
}

impl Nic for Card {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }
    fn max_mtu(&self) -> u32 {
        (MAX_FRAME - ETH_HLEN - VLAN_HLEN) as u32
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn link(&self) -> bool {
        let state = self.state.lock();
        // Without `STATUS` the field is not there, and the link always up.
        let status = state.transport.read_config_space::<u16>(STATUS);
        status.is_ok_and(|status| status & LINK_UP != 0)
    }
    fn send(&self, frame: &[u8]) -> bool {
        if frame.len() > MAX_FRAME {
            return false;
        }
        let state = &mut *self.state.lock();
        let queue = &mut state.transmit;
        while let Some((buffer, _)) = queue.take() {
            queue.free.push(buffer);
        }
        let Some(buffer) = queue.free.pop() else {
            return false;
        };
        // SAFETY: the buffer is free.
        let bytes = unsafe { queue.buffers.get(buffer) };
        bytes[..HEADER].fill(0);
        bytes[HEADER..HEADER + frame.len()].copy_from_slice(frame);
        queue.give(buffer, Some(HEADER + frame.len()));
        if queue.must_tell() {
            state.transport.notify(TRANSMIT);
        }
        true
    }
    fn receive(&self, take: &mut dyn FnMut(&[u8])) -> bool {
        // What the device writes after this it interrupts for.
        fence(SeqCst);
        let (buffer, bytes, len) = {
            let state = &mut *self.state.lock();
            let Some((buffer, len)) = state.receive.take() else {
                return false;
            };
            // SAFETY: popped, so it is nobody's until it is given back below.
            (buffer, unsafe { state.receive.buffers.get(buffer) }, len)
        };
        if len > HEADER {
            take(&bytes[HEADER..len]);
        }
        let state = &mut *self.state.lock();
        state.receive.give(buffer, None);
        if state.receive.must_tell() {
            state.transport.notify(RECEIVE);
        }
        true
    }
}

static CARDS: BootCell<Vec<Arc<Card>>> = BootCell::new(Vec::new());

/// Finds the cards.
///
/// # Safety
/// Once, during start-up.
pub unsafe fn init() {
    let mut root = PciRoot::new(PortCam);
    let mut cards = Vec::new();
    let mut virtio = 0..;
    for (function, info, path) in pci::functions(&root) {
        let Some(kind) = virtio_device_type(&info) else {
            continue;
        };
        let path = format!("{path}/virtio{}", virtio.next().unwrap_or(0));
        if kind == DeviceType::Network
            && let Some(card) = Card::new(&mut root, function, path)
        {
            cards.push(Arc::new(card));
        }
    }
    // SAFETY: by the contract of this function.
    unsafe { CARDS.set(cards) };
}

/// All cards, in their order on the bus.
pub fn all() -> Vec<Arc<dyn Nic>> {
    CARDS
        .get()
        .iter()
        .map(|card| card.clone() as Arc<dyn Nic>)
        .collect()
}

/// Frames came in.
pub fn interrupt() {
    if let Some(upcalls) = upcall::get() {
        upcalls.nic_interrupt();
    }
}

/// A link came or went.
pub fn config_interrupt() {
    if let Some(upcalls) = upcall::get() {
        upcalls.nic_link_interrupt();
    }
}
