//! A POSIX message queue: the policy alone, without tasks or locks.
//!
//! Model: messages by priority, those of one priority in order. A message goes to the waiting receiver that comes
//! first, else into the queue; room goes to the waiting sender that comes first. Who waits is ordered by scheduling
//! priority, then by age.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;

use smallvec::SmallVec;

use crate::bail;
use crate::error::Result;
use crate::ipc::msg::{Event, Message};

/// Someone who waits.
struct Waiting<W> {
    /// Smaller goes first.
    rank: i32,
    who: W,
    /// What a sender wants to send.
    message: Option<Arc<Message>>,
}

/// What happened to whom.
pub type Events<W> = SmallVec<[(W, Event); 1]>;

/// The queue. `W` is who waits.
pub struct MqState<W> {
    messages: BTreeMap<i64, VecDeque<Arc<Message>>>,
    count: usize,
    bytes: usize,
    max: usize,
    receivers: VecDeque<Waiting<W>>,
    senders: VecDeque<Waiting<W>>,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// No room.
    Full,
    /// It went to a waiting receiver.
    Handed,
    /// It is in the queue; whether it is the only one there.
    Queued(bool),
}

impl<W> MqState<W> {
    /// An empty queue for `max` messages.
    pub fn new(max: usize) -> MqState<W> {
        MqState {
            messages: BTreeMap::new(),
            count: 0,
            bytes: 0,
            max,
            receivers: VecDeque::new(),
            senders: VecDeque::new(),
        }
    }
    /// Messages in it.
    pub fn len(&self) -> usize {
        self.count
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        self.count >= self.max
    }
    /// Bytes in it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn insert(&mut self, message: Arc<Message>) -> Result<()> {
        let queue = self.messages.entry(message.kind).or_default();
        if queue.try_reserve(1).is_err() {
            bail!(ENOMEM, "no memory for a message");
        }
        self.count += 1;
        self.bytes += message.text.len();
        queue.push_back(message);
        Ok(())
    }

    /// Sends. `ENOMEM`.
    pub fn send(&mut self, message: &Arc<Message>, events: &mut Events<W>) -> Result<Sent> {
        if self.is_full() {
            return Ok(Sent::Full);
        }
        if let Some(receiver) = self.receivers.pop_front() {
            events.push((receiver.who, Event::Received(message.clone())));
            return Ok(Sent::Handed);
        }
        self.insert(message.clone())?;
        Ok(Sent::Queued(self.count == 1))
    }

    /// The first message of the highest priority; the room goes to a waiting sender.
    pub fn receive(&mut self, events: &mut Events<W>) -> Option<Arc<Message>> {
        let mut entry = self.messages.last_entry()?;
        let message = entry.get_mut().pop_front()?;
        if entry.get().is_empty() {
            entry.remove();
        }
        self.count -= 1;
        self.bytes -= message.text.len();
        if let Some(Waiting {
            who,
            message: Some(sent),
            ..
        }) = self.senders.pop_front()
        {
            events.push(match self.insert(sent) {
                Ok(()) => (who, Event::Sent),
                Err(error) => (who, Event::Failed(error)),
            });
        }
        Some(message)
    }

    /// Waits for a message, or with one of his own for room. `ENOMEM`.
    pub fn wait(&mut self, rank: i32, who: W, message: Option<Arc<Message>>) -> Result<()> {
        let queue = if message.is_some() {
            &mut self.senders
        } else {
            &mut self.receivers
        };
        if queue.try_reserve(1).is_err() {
            bail!(ENOMEM, "no memory to wait");
        }
        let at = queue.partition_point(|other| other.rank <= rank);
        queue.insert(at, Waiting { rank, who, message });
        Ok(())
    }

    /// Takes a waiter back. False if something has happened to it.
    pub fn cancel(&mut self, is_it: impl Fn(&W) -> bool) -> bool {
        for queue in [&mut self.receivers, &mut self.senders] {
            if let Some(at) = queue.iter().position(|waiting| is_it(&waiting.who)) {
                return queue.remove(at).is_some();
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(prio: i64, text: &str) -> Arc<Message> {
        Message::for_test(prio, text.as_bytes().to_vec())
    }

    #[test]
    fn highest_priority_first_then_order() {
        let mut state = MqState::<u32>::new(10);
        let mut events = Events::new();
        for (prio, text) in [(1, "c"), (5, "a"), (5, "b"), (0, "d")] {
            let only = state.is_empty();
            let sent = state.send(&message(prio, text), &mut events).unwrap();
            assert_eq!(sent, Sent::Queued(only));
        }
        assert_eq!((state.len(), state.bytes()), (4, 4));
        let mut all = alloc::vec::Vec::new();
        while let Some(message) = state.receive(&mut events) {
            all.extend_from_slice(&message.text);
        }
        assert_eq!(all, b"abcd");
        assert_eq!((state.len(), state.bytes(), events.len()), (0, 0, 0));
    }

    #[test]
    fn waiters_are_served_by_rank_and_age() {
        let mut state = MqState::new(1);
        let mut events = Events::new();
        for (who, rank) in [(1u32, 120), (2, 120), (3, 50), (4, 120)] {
            state.wait(rank, who, None).unwrap();
        }
        assert!(state.cancel(|&who| who == 2));
        for _ in 0..3 {
            let sent = state.send(&message(0, "x"), &mut events).unwrap();
            assert_eq!(sent, Sent::Handed);
        }
        let order: alloc::vec::Vec<u32> = events.drain(..).map(|(who, _)| who).collect();
        assert_eq!(order, [3, 1, 4]);
        state.send(&message(0, "x"), &mut events).unwrap();
        assert_eq!(state.send(&message(0, "y"), &mut events).unwrap(), Sent::Full);
        state.wait(120, 7, Some(message(0, "y"))).unwrap();
        state.receive(&mut events).unwrap();
        assert!(matches!(events[0], (7, Event::Sent)));
        assert_eq!(state.len(), 1);
    }
}
