//! `#!` lines (Linux's `binfmt_script.c`).

/// Bytes of a file that tell what it is; a `#!` line counts as far as it lies in them.
pub const BINPRM_BUF_SIZE: usize = 256;

/// What a `#!` line names.
#[derive(Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// The interpreter's path.
    pub interpreter: &'a [u8],
    /// The rest of the line: one argument.
    pub argument: Option<&'a [u8]>,
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

/// Whether a file that begins so is a script at all.
pub fn is_script(head: &[u8; BINPRM_BUF_SIZE]) -> bool {
    head.starts_with(b"#!")
}

/// The `#!` line of a file that begins with `head` (zero bytes behind its end). `None` if the line
/// names no interpreter, or may have been cut within its name.
pub fn parse(head: &[u8; BINPRM_BUF_SIZE]) -> Option<Script<'_>> {
    let text = head.strip_prefix(b"#!")?;
    let line = match text.iter().position(|&byte| byte == b'\n') {
        Some(end) => &text[..end],
        None => {
            // Without an end in sight the name must at least end here.
            let text = &text[..text.len() - 1];
            let start = text.iter().position(|&byte| !is_blank(byte))?;
            let ended = |byte: &u8| is_blank(*byte) || *byte == 0;
            if !text[start..].iter().any(ended) && head[BINPRM_BUF_SIZE - 1] != 0 {
                return None;
            }
            text
        }
    };
    let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let line = trim(line);
    if line.is_empty() {
        return None;
    }
    let end = line.iter().position(|&byte| is_blank(byte)).unwrap_or(line.len());
    let (interpreter, rest) = line.split_at(end);
    let rest = trim(rest);
    Some(Script {
        interpreter,
        argument: (!rest.is_empty()).then_some(rest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &[u8]) -> [u8; BINPRM_BUF_SIZE] {
        let mut head = [0; BINPRM_BUF_SIZE];
        head[..text.len()].copy_from_slice(text);
        head
    }

    fn check(text: &[u8], expected: Option<(&[u8], Option<&[u8]>)>) {
        let head = head(text);
        let found = parse(&head).map(|script| (script.interpreter, script.argument));
        assert_eq!(found, expected, "{:?}", core::str::from_utf8(text));
    }

    #[test]
    fn lines() {
        check(b"#!/bin/sh\necho", Some((b"/bin/sh", None)));
        check(b"#! \t/bin/sh  -e -x \t\n", Some((b"/bin/sh", Some(b"-e -x"))));
        check(b"#!/bin/sh", Some((b"/bin/sh", None)));
        check(b"#!\n", None);
        check(b"#!   \n", None);
        check(b"#!", None);
        check(b"\x7fELF", None);
    }

    #[test]
    fn cut_lines() {
        let mut long = [b'x'; BINPRM_BUF_SIZE];
        long[..3].copy_from_slice(b"#!/");
        check(&long, None);
        long[20] = b' ';
        let head = head(&long);
        let script = parse(&head).unwrap();
        assert_eq!(script.interpreter.len(), 18);
        assert_eq!(script.argument.map(<[u8]>::len), Some(BINPRM_BUF_SIZE - 22));
    }
}
