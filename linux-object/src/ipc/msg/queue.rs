//! A queue of messages: the policy alone, without tasks or locks.
//!
//! Model: a message goes to the first waiting receiver that wants it, else into the queue. A sender that finds no
//! room waits with its message; whoever makes room puts the messages of waiting senders in, by age, each that fits.
//! So nobody wakes up only to find that another was faster.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::bail;
use crate::error::Result;
use crate::mm::Memory;
use crate::mm::memcg::{Item, KmemCharge};

/// A message.
pub struct Message {
    /// Its type, at least 1; the priority in a POSIX queue.
    pub kind: i64,
    /// Its text.
    pub text: Vec<u8>,
    _memory: KmemCharge,
}

/// What a message costs besides its text.
const OVERHEAD: usize = size_of::<Message>() + 2 * size_of::<usize>();

impl Message {
    /// A message, charged to the control group of the calling task. `ENOMEM`.
    pub fn new(memory: &Memory, kind: i64, text: Vec<u8>) -> Result<Arc<Message>> {
        let charge = memory.control.charge_kmem(text.len() + OVERHEAD, Item::Slab)?;
        Ok(Arc::new(Message {
            kind,
            text,
            _memory: charge,
        }))
    }
    /// One that nobody is charged for.
    #[cfg(test)]
    pub fn for_test(kind: i64, text: Vec<u8>) -> Arc<Message> {
        Arc::new(Message {
            kind,
            text,
            _memory: KmemCharge::default(),
        })
    }
}

/// Which message a receiver wants (`msgop(2)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// The first.
    Any,
    /// The first of this type.
    Equal(i64),
    /// The first of another type (`MSG_EXCEPT`).
    NotEqual(i64),
    /// The first of the lowest type up to this one.
    AtMost(i64),
}

impl Want {
    /// From `msgtyp` and whether `MSG_EXCEPT` is set.
    pub fn new(msgtyp: i64, except: bool) -> Want {
        match msgtyp {
            0 => Want::Any,
            i64::MIN => Want::AtMost(i64::MAX),
            kind if kind < 0 => Want::AtMost(-kind),
            kind if except => Want::NotEqual(kind),
            kind => Want::Equal(kind),
        }
    }
    fn matches(self, kind: i64) -> bool {
        match self {
            Want::Any => true,
            Want::Equal(wanted) => kind == wanted,
            Want::NotEqual(unwanted) => kind != unwanted,
            Want::AtMost(most) => kind <= most,
        }
    }
}

/// What a receiver asks for.
#[derive(Clone, Copy, Debug)]
pub struct Receive {
    /// Which message.
    pub want: Want,
    /// Longer ones are refused.
    pub max: usize,
}

/// The queue. `W` is who waits.
pub struct MsgState<W> {
    messages: VecDeque<Arc<Message>>,
    /// Bytes in the queue.
    pub bytes: usize,
    /// How many bytes, and how many messages, it may hold.
    pub max_bytes: u64,
    receivers: VecDeque<(Receive, W)>,
    senders: VecDeque<(Arc<Message>, W)>,
}

/// What a change of the queue did for those who wait.
pub enum Event {
    /// This message is the waiter's.
    Received(Arc<Message>),
    /// The waiter's message is in the queue.
    Sent,
    /// The wait has failed.
    Failed(crate::error::Error),
}

/// Waiters that are no longer in the queue, with what happened.
pub type Events<W> = SmallVec<[(W, Event); 2]>;

impl<W> MsgState<W> {
    /// An empty queue for so many bytes.
    pub fn new(max_bytes: u64) -> MsgState<W> {
        MsgState {
            messages: VecDeque::new(),
            bytes: 0,
            max_bytes,
            receivers: VecDeque::new(),
            senders: VecDeque::new(),
        }
    }

    /// Messages in the queue.
    pub fn len(&self) -> usize {
        self.messages.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn fits(&self, len: usize) -> bool {
        (len + self.bytes) as u64 <= self.max_bytes && (self.messages.len() as u64) < self.max_bytes
    }

    /// Sends: `Ok(false)` if there is no room. `ENOMEM`. Receivers whom the message was too long for
    /// fail with `E2BIG`.
    pub fn send(&mut self, message: &Arc<Message>, events: &mut Events<W>) -> Result<bool> {
        if !self.fits(message.text.len()) {
            return Ok(false);
        }
        self.put(message, events)?;
        Ok(true)
    }

    fn put(&mut self, message: &Arc<Message>, events: &mut Events<W>) -> Result<()> {
        if self.messages.try_reserve(1).is_err() {
            bail!(ENOMEM, "no memory for a message");
        }
        let mut at = 0;
        while let Some((receive, _)) = self.receivers.get(at) {
            if !receive.want.matches(message.kind) {
                at += 1;
                continue;
            }
            let Some((receive, who)) = self.receivers.remove(at) else {
                break;
            };
            if message.text.len() <= receive.max {
                events.push((who, Event::Received(message.clone())));
                return Ok(());
            }
            events.push((
                who,
                Event::Failed(crate::err!(E2BIG, "msgrcv: the message is longer")),
            ));
        }
        self.bytes += message.text.len();
        self.messages.push_back(message.clone());
        Ok(())
    }

    /// Waits for room. `ENOMEM`.
    pub fn wait_to_send(&mut self, message: Arc<Message>, who: W) -> Result<()> {
        if self.senders.try_reserve(1).is_err() {
            bail!(ENOMEM, "no memory to wait");
        }
        self.senders.push_back((message, who));
        Ok(())
    }

    /// Waits for a message. `ENOMEM`.
    pub fn wait_to_receive(&mut self, receive: Receive, who: W) -> Result<()> {
        if self.receivers.try_reserve(1).is_err() {
            bail!(ENOMEM, "no memory to wait");
        }
        self.receivers.push_back((receive, who));
        Ok(())
    }

    fn find(&self, want: Want) -> Option<usize> {
        let mut candidates = self
            .messages
            .iter()
            .enumerate()
            .filter(|(_, message)| want.matches(message.kind));
        match want {
            // The first of those with the lowest type.
            Want::AtMost(_) => candidates.min_by_key(|(_, message)| message.kind),
            _ => candidates.next(),
        }
        .map(|(at, _)| at)
    }

    /// Receives: `None` if there is no such message. `E2BIG`: it is longer, and stays.
    pub fn receive(&mut self, receive: Receive, events: &mut Events<W>) -> Result<Option<Arc<Message>>> {
        let Some(at) = self.find(receive.want) else {
            return Ok(None);
        };
        if self.messages[at].text.len() > receive.max {
            bail!(E2BIG, "msgrcv: the message is longer");
        }
        let message = self.messages.remove(at);
        if let Some(message) = &message {
            self.bytes -= message.text.len();
            self.admit_senders(events);
        }
        Ok(message)
    }

    /// The n-th message, which stays (`MSG_COPY`).
    pub fn peek(&self, n: i64) -> Option<&Arc<Message>> {
        self.messages.get(usize::try_from(n).ok()?)
    }

    /// There may be more room: messages of waiting senders go in, by age, each that fits.
    pub fn admit_senders(&mut self, events: &mut Events<W>) {
        let mut at = 0;
        while let Some((message, _)) = self.senders.get(at) {
            if !self.fits(message.text.len()) {
                at += 1;
                continue;
            }
            let Some((message, who)) = self.senders.remove(at) else {
                break;
            };
            match self.put(&message, events) {
                Ok(()) => events.push((who, Event::Sent)),
                Err(error) => events.push((who, Event::Failed(error))),
            }
        }
    }

    /// Takes a waiter back. False if something has happened to it.
    pub fn cancel(&mut self, is_it: impl Fn(&W) -> bool) -> bool {
        if let Some(at) = self.receivers.iter().position(|(_, who)| is_it(who)) {
            return self.receivers.remove(at).is_some();
        }
        match self.senders.iter().position(|(_, who)| is_it(who)) {
            Some(at) => self.senders.remove(at).is_some(),
            None => false,
        }
    }

    /// Everyone who waits for a message; they are to look again or to fail.
    pub fn take_receivers(&mut self) -> VecDeque<(Receive, W)> {
        core::mem::take(&mut self.receivers)
    }

    /// The queue goes: everyone who waits to send.
    pub fn take_senders(&mut self) -> VecDeque<(Arc<Message>, W)> {
        core::mem::take(&mut self.senders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: i64, len: usize) -> Arc<Message> {
        Message::for_test(kind, alloc::vec![kind as u8; len])
    }

    fn receive(want: Want) -> Receive {
        Receive { want, max: 100 }
    }

    fn kinds(state: &mut MsgState<u32>, want: Want, count: usize) -> Vec<i64> {
        let mut events = Events::new();
        (0..count)
            .map_while(|_| state.receive(receive(want), &mut events).unwrap())
            .map(|message| message.kind)
            .collect()
    }

    #[test]
    fn types_choose() {
        let mut state = MsgState::<u32>::new(100);
        let mut events = Events::new();
        for kind in [9, 5, 7, 5, 9, 2] {
            assert!(state.send(&message(kind, 1), &mut events).unwrap());
        }
        assert_eq!(kinds(&mut state, Want::new(7, false), 9), [7]);
        assert_eq!(kinds(&mut state, Want::new(-6, false), 2), [2, 5]);
        assert_eq!(kinds(&mut state, Want::new(9, true), 9), [5]);
        assert_eq!(kinds(&mut state, Want::new(0, false), 9), [9, 9]);
        assert_eq!((state.bytes, state.len()), (0, 0));
    }

    #[test]
    fn room_goes_to_senders_by_age() {
        let mut state = MsgState::new(10);
        let mut events = Events::new();
        assert!(state.send(&message(1, 10), &mut events).unwrap());
        for (who, len) in [(1u32, 8), (2, 4), (3, 2), (4, 1)] {
            let message = message(i64::from(who), len);
            assert!(!state.send(&message, &mut events).unwrap());
            state.wait_to_send(message, who).unwrap();
        }
        assert!(state.cancel(|&who| who == 4));
        state.receive(receive(Want::Any), &mut events).unwrap().unwrap();
        let sent: Vec<u32> = events.drain(..).map(|(who, _)| who).collect();
        assert_eq!(sent, [1, 3]);
        assert_eq!(state.bytes, 10);
    }

    #[test]
    fn a_message_goes_to_the_first_who_wants_it() {
        let mut state = MsgState::new(10);
        let mut events = Events::new();
        let wait = |want, max| Receive { want, max };
        state.wait_to_receive(wait(Want::Equal(2), 9), 1u32).unwrap();
        state.wait_to_receive(wait(Want::Any, 1), 2).unwrap();
        state.wait_to_receive(wait(Want::Any, 5), 3).unwrap();
        assert!(state.send(&message(1, 5), &mut events).unwrap());
        let told: Vec<u32> = events.iter().map(|(who, _)| *who).collect();
        assert_eq!(told, [2, 3]);
        assert!(matches!(events[0].1, Event::Failed(_)));
        assert!(state.is_empty());
        assert_eq!(state.take_receivers().len(), 1);
    }
}
