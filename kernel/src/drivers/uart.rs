//! The console: a 16550 at COM1. Output is polled, a FIFO's worth at a time; input comes by interrupt.

use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::{FifoTriggerLevel, IER};
use uart_16550::{BaudRate, Config, Uart16550};

use super::entropy;
use crate::sync::Lock;
use crate::upcall;

/// I/O port of COM1.
const COM1: u16 = 0x3f8;
/// Its ISA interrupt.
pub const ISA_IRQ: u8 = 4;

struct Console {
    uart: Uart16550<PioBackend>,
    present: bool,
}

static CONSOLE: Lock<Console> = Lock::new(Console {
    // SAFETY: COM1's ports are the UART's or nobody's; the lock makes the access exclusive.
    uart: match unsafe { Uart16550::new_port(COM1) } {
        Ok(uart) => uart,
        Err(_) => panic!("COM1's ports do not wrap"),
    },
    present: false,
});

/// Sets the UART up: 115200 8N1, interrupts off.
pub fn init() {
    let mut console = CONSOLE.lock();
    let config = Config {
        baud_rate: BaudRate::Baud115200,
        fifo_trigger_level: Some(FifoTriggerLevel::One),
        ..Config::DEFAULT
    };
    console.present = console.uart.init(config).is_ok();
}

/// Lets input in, once there is someone to take it.
pub fn enable_input() {
    let mut console = CONSOLE.lock();
    if console.present {
        console.uart.enable_interrupts(IER::DATA_READY);
    }
}

/// Writes bytes as they are.
pub fn write(bytes: &[u8]) {
    let mut console = CONSOLE.lock();
    if !console.present {
        return;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let sent = console.uart.send_bytes(rest);
        rest = &rest[sent..];
        if sent == 0 {
            crate::arch::relax();
        }
    }
}

/// The UART's interrupt: takes what came in.
pub fn interrupt() {
    let mut bytes = [0; 64];
    loop {
        let len = {
            let mut console = CONSOLE.lock();
            // Reading the cause ends it, should it be none of the input.
            let _ = console.uart.isr();
            console.uart.receive_bytes(&mut bytes)
        };
        if len == 0 {
            return;
        }
        entropy::stir(u64::from(bytes[0]));
        if let Some(upcalls) = upcall::get() {
            upcalls.console_input(&bytes[..len]);
        }
    }
}

/// For a panic, when all other CPUs have stopped: whoever held the console does so no more.
pub fn force_unlock() {
    // SAFETY: no other CPU runs, and this one prints nothing but the panic from here on.
    unsafe { CONSOLE.force_unlock() };
}
