//! Simulated threads, and the programs that they run in user mode.
//!
//! A program is a closure on a host thread of its own. It goes on while its kernel thread is in
//! `run_user`, until it asks for something that user code needs the machine for.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;

use super::gate::Gate;
use super::machine::{EndOfRun, Machine};
use crate::error::Result;
use crate::hal::{Entry, MachineThread};

/// What a simulated process or thread runs.
pub type Program = Box<dyn FnOnce(&User) -> i32 + Send>;

/// A handler of signals: gets the number and the address of the `siginfo_t`.
pub type Handler = Arc<dyn Fn(&User, i32, u64) + Send + Sync>;

/// Handlers have addresses from here on, one for each.
pub const HANDLER_BASE: u64 = 0x40_0000;
/// Where the program counter is otherwise.
pub const PROGRAM_RIP: u64 = 0x20_0000;

/// What a program asks its machine for.
pub(super) enum Request {
    /// A system call.
    Call(u64, [u64; 6]),
    /// Reads memory.
    Read(u64, usize),
    /// Writes memory.
    Write(u64, Vec<u8>),
    /// If the word is the first number, stores the second.
    CompareExchange(u64, u32, u32),
    /// Computes for so many nanoseconds.
    Compute(u64),
    /// Sets the stack pointer.
    SetStack(u64),
    /// It has returned.
    Done(i32),
}

/// What it is answered.
pub(super) enum Answer {
    Value(u64),
    Bytes(Vec<u8>),
    /// A signal's handler has to run first.
    Handler(u64, i32, u64),
}

#[derive(Default)]
pub(super) struct Mailbox {
    pub request: Option<Request>,
    pub answer: Option<Answer>,
    /// What handlers of signals interrupted.
    interrupted: Vec<Option<Request>>,
}

/// The program's side of user mode.
pub struct User {
    machine: Arc<Machine>,
    to_user: Arc<Gate>,
    to_kernel: Arc<Gate>,
    mail: Mutex<Mailbox>,
    handlers: Mutex<Vec<Handler>>,
    gone: AtomicBool,
    next_child: Mutex<Option<Program>>,
}

impl User {
    fn ask(&self, request: Request) -> Answer {
        self.mail.lock().unwrap().request = Some(request);
        loop {
            self.to_kernel.open();
            self.to_user.pass();
            self.check();
            let answer = self.mail.lock().unwrap().answer.take();
            match answer {
                Some(Answer::Handler(at, signal, info)) => {
                    let nth = (at - HANDLER_BASE) as usize;
                    let handler = self.handlers.lock().unwrap().get(nth).cloned();
                    let handler = handler.expect("a handler that was made");
                    handler(self, signal, info);
                    // rt_sigreturn answers with what the interrupted request got.
                    self.mail.lock().unwrap().request = Some(Request::Call(15, [0; 6]));
                }
                Some(answer) => return answer,
                None => unreachable!("woken without an answer"),
            }
        }
    }
    fn check(&self) {
        self.machine.check_end();
        if self.gone.load(Ordering::SeqCst) && !std::thread::panicking() {
            std::panic::resume_unwind(Box::new(EndOfRun));
        }
    }

    /// The machine.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }
    /// Makes a system call; the result as in `rax`.
    pub fn call(&self, nr: u64, args: &[u64]) -> i64 {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        match self.ask(Request::Call(nr, all)) {
            Answer::Value(rax) => rax as i64,
            _ => unreachable!("calls are answered by a number"),
        }
    }
    /// Reads memory; a fault that cannot be served is a signal.
    pub fn read(&self, at: u64, len: usize) -> Vec<u8> {
        match self.ask(Request::Read(at, len)) {
            Answer::Bytes(bytes) => bytes,
            _ => unreachable!("reads are answered by bytes"),
        }
    }
    /// Writes memory.
    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.ask(Request::Write(at, bytes.to_vec()));
    }
    /// Atomic compare-and-exchange of a word; returns what was there.
    pub fn compare_exchange(&self, at: u64, old: u32, new: u32) -> u32 {
        match self.ask(Request::CompareExchange(at, old, new)) {
            Answer::Value(value) => value as u32,
            _ => unreachable!("answered by a number"),
        }
    }
    /// Keeps the CPU busy for this long.
    pub fn compute(&self, nanos: u64) {
        self.ask(Request::Compute(nanos));
    }
    /// Sets the stack pointer that signal frames go to.
    pub fn set_stack(&self, sp: u64) {
        self.ask(Request::SetStack(sp));
    }
    /// Gives a handler an address, for `rt_sigaction`.
    pub fn handler(&self, handler: Handler) -> u64 {
        let mut handlers = self.handlers.lock().unwrap();
        handlers.push(handler);
        HANDLER_BASE + handlers.len() as u64 - 1
    }
    /// What the child of the next `clone` runs.
    pub fn set_child(&self, program: Program) {
        *self.next_child.lock().unwrap() = Some(program);
    }
}

/// A thread of the machine.
pub struct SimThread {
    pub(super) gate: Arc<Gate>,
    machine: Arc<Machine>,
    entry: Mutex<Option<Entry>>,
    program: Mutex<Option<Program>>,
    inherited: Mutex<Vec<Handler>>,
    user: Mutex<Option<Arc<User>>>,
    fs_base: AtomicU64,
    gs_base: AtomicU64,
}

impl SimThread {
    pub(super) fn new(machine: &Arc<Machine>, entry: Option<Entry>) -> Arc<SimThread> {
        Arc::new(SimThread {
            gate: Arc::default(),
            machine: machine.clone(),
            entry: Mutex::new(entry),
            program: Mutex::new(None),
            inherited: Mutex::default(),
            user: Mutex::new(None),
            fs_base: AtomicU64::new(0),
            gs_base: AtomicU64::new(0),
        })
    }

    pub(super) fn of(thread: &Arc<dyn MachineThread>) -> &SimThread {
        thread
            .as_any()
            .downcast_ref::<SimThread>()
            .expect("a thread of this machine")
    }

    /// What the thread runs in user mode, until it makes children that run something else.
    pub fn set_program(&self, program: Program) {
        *self.program.lock().unwrap() = Some(program);
    }

    /// Makes a host thread for it before it runs for the first time.
    pub(super) fn prepare(self: &Arc<SimThread>) {
        let Some(entry) = self.entry.lock().unwrap().take() else {
            return;
        };
        let machine = self.machine.clone();
        self.machine.spawn(&self.gate, Some(self.clone()), move || {
            let next = entry();
            super::lockdep::assert_none("a thread ends");
            let next = super::thread_arc(&next);
            next.prepare();
            let gate = next.gate.clone();
            machine.put_on_cpu(next);
            gate.open();
        });
    }

    /// The program's side; starts it the first time.
    pub(super) fn user(&self) -> Arc<User> {
        let mut slot = self.user.lock().unwrap();
        if let Some(user) = &*slot {
            return user.clone();
        }
        let user = Arc::new(User {
            machine: self.machine.clone(),
            to_user: Arc::default(),
            to_kernel: Arc::default(),
            mail: Mutex::default(),
            handlers: Mutex::new(core::mem::take(&mut *self.inherited.lock().unwrap())),
            gone: AtomicBool::new(false),
            next_child: Mutex::new(None),
        });
        let program = self.program.lock().unwrap().take();
        let program = program.expect("a thread that goes to user mode has a program");
        let side = user.clone();
        // A program that panics asks for nothing any more.
        self.machine.open_at_end(&user.to_kernel);
        self.machine.spawn(&user.to_user, None, move || {
            let code = program(&side);
            side.ask(Request::Done(code));
        });
        *slot = Some(user.clone());
        user
    }
}

impl User {
    /// Lets the program go on until it asks for something.
    pub(super) fn resume(&self, answer: Option<Answer>, machine: &Machine) {
        self.mail.lock().unwrap().answer = answer;
        self.to_user.open();
        self.to_kernel.pass();
        machine.check_end();
    }
    /// An interrupt or a fault comes first.
    pub(super) fn put_request(&self, request: Option<Request>) {
        self.mail.lock().unwrap().request = request;
    }
    /// A handler comes first.
    pub(super) fn interrupt(&self, request: Option<Request>) {
        self.mail.lock().unwrap().interrupted.push(request);
    }
    /// The handler is over.
    pub(super) fn end_interrupt(&self) -> Option<Request> {
        self.mail.lock().unwrap().interrupted.pop().flatten()
    }
    pub(super) fn take_request(&self) -> Option<Request> {
        self.mail.lock().unwrap().request.take()
    }
}

impl Drop for SimThread {
    /// The program of a thread that is gone unwinds.
    fn drop(&mut self) {
        if let Some(user) = self.user.lock().unwrap().take() {
            user.gone.store(true, Ordering::SeqCst);
            user.to_user.open();
        }
    }
}

impl MachineThread for SimThread {
    fn fpu_save(&self, to: &mut [u8]) {
        to.fill(0);
    }
    fn fpu_restore(&self, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn fpu_size(&self) -> usize {
        576
    }
    fn reset_user_state(&self) {}
    fn copy_user_state(&self, from: &dyn MachineThread) {
        let from = from.as_any().downcast_ref::<SimThread>().expect("ours");
        if let Some(user) = &*from.user.lock().unwrap() {
            *self.program.lock().unwrap() = user.next_child.lock().unwrap().take();
            self.inherited
                .lock()
                .unwrap()
                .clone_from(&user.handlers.lock().unwrap());
        }
    }
    fn fs_base(&self) -> u64 {
        self.fs_base.load(Ordering::Relaxed)
    }
    fn set_fs_base(&self, base: u64) {
        self.fs_base.store(base, Ordering::Relaxed);
    }
    fn gs_base(&self) -> u64 {
        self.gs_base.load(Ordering::Relaxed)
    }
    fn set_gs_base(&self, base: u64) {
        self.gs_base.store(base, Ordering::Relaxed);
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn backtrace(&self, _: &mut [u64]) -> usize {
        0
    }
}
