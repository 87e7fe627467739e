//! What a context has to say about the options it was given (Linux's `fc_log`).

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use core::fmt::Arguments;

/// As many messages are kept; the oldest goes first.
const MESSAGES: usize = 8;

/// Messages for the reader of a file system context, or for nobody.
pub struct Log {
    prefix: &'static str,
    /// `None`: there is no reader (`mount(2)`).
    messages: Option<VecDeque<String>>,
}

impl Log {
    /// Messages that are not kept.
    pub fn unread(prefix: &'static str) -> Log {
        let messages = None;
        Log { prefix, messages }
    }
    /// Messages that are kept.
    pub fn kept(prefix: &'static str) -> Log {
        let messages = Some(VecDeque::new());
        Log { prefix, messages }
    }
    /// A message that says for itself who speaks. `level`: `e` error, `w` warning, `i` information.
    pub fn plain(&mut self, level: char, text: Arguments<'_>) {
        self.add(format!("{level} {text}\n"));
    }
    /// A message of the file system type.
    pub fn prefixed(&mut self, level: char, text: Arguments<'_>) {
        self.add(format!("{level} {}: {text}\n", self.prefix));
    }
    fn add(&mut self, message: String) {
        if let Some(messages) = &mut self.messages {
            if messages.len() == MESSAGES {
                messages.pop_front();
            }
            messages.push_back(message);
        }
    }
    /// The oldest message, which stays.
    pub fn oldest(&self) -> Option<&str> {
        Some(self.messages.as_ref()?.front()?)
    }
    /// Takes the oldest message out.
    pub fn pop(&mut self) -> Option<String> {
        self.messages.as_mut()?.pop_front()
    }
}
