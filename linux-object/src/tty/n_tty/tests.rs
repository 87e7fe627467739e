//! N_TTY against transcripts.

use alloc::vec;
use alloc::vec::Vec;

use super::input::Events;
use super::{Event, NTty, Output};
use crate::fs::io::KernelDst;
use crate::tty::termios::{InputFlags, LocalFlags, OutputFlags, Termios, cc};

struct Term {
    tty: NTty,
    termios: Termios,
    events: Vec<Event>,
}

impl Term {
    fn new() -> Term {
        Term {
            tty: NTty::default(),
            termios: Termios::standard(),
            events: vec![],
        }
    }
    fn with(change: impl FnOnce(&mut Termios)) -> Term {
        let mut term = Term::new();
        let old = term.termios;
        change(&mut term.termios);
        term.tty.set_termios(&old, &term.termios, &mut Output::new());
        term
    }
    fn raw() -> Term {
        Term::with(|t| {
            t.iflag = InputFlags::empty();
            t.lflag = LocalFlags::empty();
            t.oflag = OutputFlags::empty();
        })
    }
    /// Types; returns what the device is sent.
    fn type_(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = Output::new();
        let mut events = Events::new();
        self.tty.receive(&self.termios, data, &mut out, &mut events);
        self.events.extend(events);
        out.into_iter().collect()
    }
    fn read(&mut self, max: usize) -> Option<Vec<u8>> {
        if !self.tty.readable(&self.termios) {
            return None;
        }
        let mut buf = vec![0; max];
        let mut to = KernelDst::new(&mut buf);
        let n = self.tty.read(&self.termios, &mut to).unwrap();
        buf.truncate(n);
        Some(buf)
    }
    fn write(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = Output::new();
        self.tty.write(&self.termios, data, &mut out);
        out.into_iter().collect()
    }
}

#[test]
fn lines_are_read_whole() {
    let mut term = Term::new();
    assert_eq!(term.type_(b"ab"), b"ab");
    assert_eq!(term.read(9), None);
    assert_eq!(term.type_(b"c\rsecond\r"), b"c\r\nsecond\r\n");
    assert_eq!(term.read(2).unwrap(), b"ab");
    assert_eq!(term.read(9).unwrap(), b"c\n");
    assert_eq!(term.read(99).unwrap(), b"second\n");
    assert_eq!(term.read(9), None);
}

#[test]
fn erase_goes_by_character() {
    let mut term = Term::new();
    assert_eq!(term.type_(b"ab\x7f"), b"ab\x08 \x08");
    assert_eq!(term.type_(b"\x7f\x7f\x7f"), b"\x08 \x08");
    assert_eq!(term.type_(b"\x01\x7f"), b"^A\x08 \x08\x08 \x08");
    assert_eq!(term.type_(b"x\n"), b"x\r\n");
    assert_eq!(term.read(9).unwrap(), b"x\n");
    // A character of two bytes goes as a whole under IUTF8.
    let mut term = Term::with(|t| t.iflag |= InputFlags::IUTF8);
    assert_eq!(term.type_("aä\x7f\n".as_bytes()), "aä\x08 \x08\r\n".as_bytes());
    assert_eq!(term.read(9).unwrap(), b"a\n");
}

#[test]
fn tabs_are_erased_to_where_they_began() {
    let mut term = Term::new();
    assert_eq!(term.write(b"$ "), b"$ ");
    assert_eq!(term.type_(b"ab\t"), b"ab\t");
    assert_eq!(term.type_(b"\x7f"), b"\x08\x08\x08\x08");
    assert_eq!(term.type_(b"c\n"), b"c\r\n");
    assert_eq!(term.read(9).unwrap(), b"abc\n");
}

#[test]
fn word_erase_and_kill() {
    let mut term = Term::new();
    term.type_(b"one two  ");
    assert_eq!(term.type_(b"\x17"), b"\x08 \x08".repeat(5));
    assert_eq!(term.type_(b"\x15"), b"\x08 \x08".repeat(4));
    term.type_(b"z\n");
    assert_eq!(term.read(9).unwrap(), b"z\n");
    // Without ECHOKE the kill character and a new line are shown.
    let mut term = Term::with(|t| t.lflag -= LocalFlags::ECHOKE);
    assert_eq!(term.type_(b"ab\x15"), b"ab^U\r\n");
    // ECHOPRT prints what is erased.
    let mut term = Term::with(|t| t.lflag |= LocalFlags::ECHOPRT);
    assert_eq!(term.type_(b"ab\x7f\x7fc"), b"ab\\ba/c");
}

#[test]
fn end_of_file() {
    let mut term = Term::new();
    assert_eq!(term.type_(b"\x04"), b"");
    assert_eq!(term.read(9).unwrap(), b"");
    term.type_(b"abc\x04\x04");
    assert_eq!(term.tty.count(&term.termios), 3);
    assert_eq!(term.read(9).unwrap(), b"abc");
    assert_eq!(term.read(9).unwrap(), b"");
    assert_eq!(term.read(9), None);
    // Behind a buffer that it fills exactly, the end of file is gone with it.
    term.type_(b"abc\x04");
    assert_eq!(term.read(3).unwrap(), b"abc");
    assert_eq!(term.read(3), None);
}

#[test]
fn literal_next_and_reprint() {
    let mut term = Term::new();
    assert_eq!(term.type_(b"\x16\x03"), b"^\x08^C");
    assert_eq!(term.type_(b"a\x12"), b"a^R\r\n^Ca");
    term.type_(b"\n");
    assert_eq!(term.read(9).unwrap(), b"\x03a\n");
    assert!(!term.events.contains(&Event::Interrupt));
}

#[test]
fn signals_flush() {
    let mut term = Term::new();
    term.type_(b"abc\n");
    // Echoes of what came together with the signal character are taken back.
    assert_eq!(term.type_(b"x\x03y"), b"^Cy");
    assert!(term.events.contains(&Event::Interrupt));
    assert_eq!(term.read(9), None);
    let mut term = Term::with(|t| t.lflag |= LocalFlags::NOFLSH);
    term.type_(b"abc\n");
    assert_eq!(term.type_(b"\x1a"), b"^Z");
    assert!(term.events.contains(&Event::Suspend));
    assert_eq!(term.read(9).unwrap(), b"abc\n");
    // Without ISIG it is a character like others.
    let mut term = Term::with(|t| t.lflag -= LocalFlags::ISIG);
    term.type_(b"\x03\n");
    assert_eq!(term.read(9).unwrap(), b"\x03\n");
}

#[test]
fn raw_mode_gives_every_byte() {
    let mut term = Term::raw();
    assert_eq!(term.type_(b"\r\x03\x7f\x04\xff"), b"");
    assert_eq!(term.read(3).unwrap(), b"\r\x03\x7f");
    assert_eq!(term.read(9).unwrap(), b"\x04\xff");
    assert_eq!(term.write(b"a\nb\t"), b"a\nb\t");
}

#[test]
fn flow_control_holds_echo() {
    let mut term = Term::new();
    term.type_(b"\x13");
    assert!(term.tty.stopped);
    assert_eq!(term.type_(b"ab"), b"");
    assert_eq!(term.type_(b"\x11"), b"ab");
    assert!(!term.tty.stopped);
    assert_eq!(term.events, [Event::Stopped, Event::Started]);
    // IXANY: any character starts it.
    let mut term = Term::with(|t| t.iflag |= InputFlags::IXANY);
    assert_eq!(term.type_(b"\x13x"), b"x");
}

#[test]
fn input_translations() {
    let mut term = Term::with(|t| t.iflag = InputFlags::INLCR | InputFlags::IGNCR);
    term.type_(b"a\rb\n");
    assert_eq!(term.read(9), None);
    term.type_(b"\x04");
    assert_eq!(term.read(9).unwrap(), b"ab\r");
    let mut term = Term::with(|t| {
        t.iflag = InputFlags::ISTRIP | InputFlags::IUCLC;
        t.lflag = LocalFlags::IEXTEN;
    });
    term.type_(b"A\xe2");
    assert_eq!(term.read(9).unwrap(), b"ab");
    let mut term = Term::with(|t| {
        t.iflag = InputFlags::PARMRK;
        t.lflag = LocalFlags::empty();
    });
    term.type_(b"\xff");
    assert_eq!(term.read(9).unwrap(), b"\xff\xff");
}

#[test]
fn output_translations() {
    let mut term = Term::with(|t| t.oflag |= OutputFlags::XTABS | OutputFlags::OLCUC);
    assert_eq!(term.write(b"ab\tc\n\td"), b"AB      C\r\n        D");
    let mut term = Term::with(|t| t.oflag = OutputFlags::OPOST | OutputFlags::OCRNL | OutputFlags::ONOCR);
    assert_eq!(term.write(b"\ra\r"), b"a\n");
}

#[test]
fn a_long_line_keeps_its_end() {
    let mut term = Term::with(|t| t.lflag -= LocalFlags::ECHO);
    let long = vec![b'x'; 5000];
    term.type_(&long);
    term.type_(b"\n");
    let line = term.read(9000).unwrap();
    assert_eq!(line.len(), 4096);
    assert_eq!(line[4095], b'\n');
    // With a complete line waiting, no more is taken.
    let mut term = Term::new();
    term.type_(b"a\n");
    let mut out = Output::new();
    let taken = term
        .tty
        .receive(&term.termios, &long, &mut out, &mut Events::new());
    assert_eq!(taken, 4096 - 2 - 1);
}

#[test]
fn changing_modes_keeps_input() {
    let mut term = Term::new();
    term.type_(b"ab");
    let old = term.termios;
    term.termios.lflag -= LocalFlags::ICANON;
    term.tty.set_termios(&old, &term.termios, &mut Output::new());
    assert_eq!(term.read(1).unwrap(), b"a");
    let raw = term.termios;
    term.tty.set_termios(&raw, &old, &mut Output::new());
    term.termios = old;
    assert_eq!(term.read(9).unwrap(), b"b");
}

#[test]
fn termios_layouts() {
    let mut t = Termios::standard();
    t.cc[cc::VMIN] = 7;
    assert_eq!(t.with_termios(&t.to_termios()), t);
    assert_eq!(t.with_termios2(&t.to_termios2()), t);
    assert_eq!(t.with_termio(&t.to_termio()), t);
    t.cflag = t.cflag & !0x100f | 0x1002;
    assert_eq!(t.with_termios(&t.to_termios()).ospeed, 115200);
}
