//! As much of ELF-64, little-endian, as the step needs (System V gABI, chapters 4 and 5).

const PT_LOAD: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const STT_FUNC: u8 = 2;
const STT_NOTYPE: u8 = 0;
const PF_EXEC: u32 = 1;
const PAGE: u64 = 4096;
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// A linked file.
pub struct File<'a> {
    bytes: &'a [u8],
    segments: Vec<Segment>,
}

/// A program header.
#[derive(Clone, Copy)]
pub struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    /// Address.
    pub vaddr: u64,
    paddr: u64,
    file_size: u64,
    mem_size: u64,
    align: u64,
}

/// A function.
pub struct Symbol<'a> {
    /// Address.
    pub addr: u64,
    /// Mangled name.
    pub name: &'a str,
}

fn u16_at(b: &[u8], at: usize) -> Result<u16, String> {
    let bytes = b.get(at..at + 2).ok_or("truncated file")?;
    Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn u32_at(b: &[u8], at: usize) -> Result<u32, String> {
    Ok(u32::from(u16_at(b, at)?) | u32::from(u16_at(b, at + 2)?) << 16)
}

fn u64_at(b: &[u8], at: usize) -> Result<u64, String> {
    Ok(u64::from(u32_at(b, at)?) | u64::from(u32_at(b, at + 4)?) << 32)
}

impl<'a> File<'a> {
    /// Reads the headers.
    pub fn parse(bytes: &'a [u8]) -> Result<File<'a>, String> {
        if bytes.get(..6) != Some(b"\x7fELF\x02\x01") {
            return Err("not a 64-bit little-endian ELF file".into());
        }
        let (offset, count) = (u64_at(bytes, 32)? as usize, u16_at(bytes, 56)?);
        let mut segments = Vec::new();
        for i in 0..usize::from(count) {
            let at = offset + i * PROGRAM_HEADER;
            segments.push(Segment {
                kind: u32_at(bytes, at)?,
                flags: u32_at(bytes, at + 4)?,
                offset: u64_at(bytes, at + 8)?,
                vaddr: u64_at(bytes, at + 16)?,
                paddr: u64_at(bytes, at + 24)?,
                file_size: u64_at(bytes, at + 32)?,
                mem_size: u64_at(bytes, at + 40)?,
                align: u64_at(bytes, at + 48)?,
            });
        }
        Ok(File { bytes, segments })
    }

    /// The segment that is loaded last, which is the symbol table's place.
    pub fn last(&self) -> Result<Segment, String> {
        let loaded = self.segments.iter().filter(|s| s.kind == PT_LOAD);
        loaded
            .max_by_key(|s| s.paddr)
            .copied()
            .ok_or("nothing to load".into())
    }

    fn contents(&self, segment: &Segment) -> Result<&'a [u8], String> {
        let (start, len) = (segment.offset as usize, segment.file_size as usize);
        self.bytes
            .get(start..start + len)
            .ok_or("truncated segment".into())
    }

    /// The functions of the kernel proper, in ascending order of addresses.
    pub fn functions(&self, base: u64) -> Result<Vec<Symbol<'a>>, String> {
        let is_text = |addr: u64| {
            let mut code = self
                .segments
                .iter()
                .filter(|s| s.flags & PF_EXEC != 0 && s.vaddr >= base);
            code.any(|s| (s.vaddr..s.vaddr + s.mem_size).contains(&addr))
        };
        let (offset, size, count) = (
            u64_at(self.bytes, 40)? as usize,
            usize::from(u16_at(self.bytes, 58)?),
            usize::from(u16_at(self.bytes, 60)?),
        );
        let section = |index: usize| offset + index * size;
        let mut symbols = Vec::new();
        for at in (0..count).map(section) {
            if u32_at(self.bytes, at + 4)? != SHT_SYMTAB {
                continue;
            }
            let strings = section(u32_at(self.bytes, at + 40)? as usize);
            let names = u64_at(self.bytes, strings + 24)? as usize;
            let (start, len) = (
                u64_at(self.bytes, at + 24)? as usize,
                u64_at(self.bytes, at + 32)? as usize,
            );
            for symbol in (start..start + len).step_by(24) {
                let kind = self.bytes[symbol + 4] & 15;
                let addr = u64_at(self.bytes, symbol + 8)?;
                if !matches!(kind, STT_FUNC | STT_NOTYPE) || !is_text(addr) {
                    continue;
                }
                let name = &self.bytes[names + u32_at(self.bytes, symbol)? as usize..];
                let end = name.iter().position(|&b| b == 0).ok_or("unterminated name")?;
                let name = std::str::from_utf8(&name[..end]).map_err(|e| e.to_string())?;
                if !name.is_empty() && !name.starts_with(".L") {
                    symbols.push((addr, kind != STT_FUNC, name));
                }
            }
        }
        // Of several names for an address, a function's comes first.
        symbols.sort();
        symbols.dedup_by_key(|symbol| symbol.0);
        Ok(symbols
            .into_iter()
            .map(|(addr, _, name)| Symbol { addr, name })
            .collect())
    }

    /// A file with the same segments, the last one replaced.
    pub fn image_with(&self, last: &[u8]) -> Result<Vec<u8>, String> {
        let place = self.last()?;
        let mut out = self.bytes[..HEADER].to_vec();
        out[32..40].copy_from_slice(&(HEADER as u64).to_le_bytes());
        // No sections.
        out[40..48].fill(0);
        out[58..64].fill(0);
        out.resize(HEADER + self.segments.len() * PROGRAM_HEADER, 0);
        let mut moved: Vec<Segment> = Vec::new();
        for segment in &self.segments {
            let mut new = *segment;
            if segment.kind == PT_LOAD {
                let contents = if segment.paddr == place.paddr {
                    new.file_size = last.len() as u64;
                    new.mem_size = new.file_size;
                    last
                } else {
                    self.contents(segment)?
                };
                out.resize(out.len().next_multiple_of(PAGE as usize), 0);
                new.offset = out.len() as u64;
                out.extend_from_slice(contents);
            }
            moved.push(new);
        }
        // Other headers (the note) describe a part of a loaded segment.
        for i in 0..moved.len() {
            if moved[i].kind != PT_LOAD {
                let (old, at) = (self.segments[i].offset, self.segments[i]);
                let home = self.segments.iter().position(|s| {
                    s.kind == PT_LOAD
                        && (s.offset..s.offset + s.file_size).contains(&old)
                        && s.vaddr <= at.vaddr
                });
                let home = home.ok_or("a header outside of all segments")?;
                moved[i].offset = moved[home].offset + (old - self.segments[home].offset);
            }
        }
        for (i, segment) in moved.iter().enumerate() {
            let at = HEADER + i * PROGRAM_HEADER;
            out[at..at + 4].copy_from_slice(&segment.kind.to_le_bytes());
            out[at + 4..at + 8].copy_from_slice(&segment.flags.to_le_bytes());
            let words = [
                segment.offset,
                segment.vaddr,
                segment.paddr,
                segment.file_size,
                segment.mem_size,
                segment.align,
            ];
            for (k, word) in words.iter().enumerate() {
                out[at + 8 + 8 * k..at + 16 + 8 * k].copy_from_slice(&word.to_le_bytes());
            }
        }
        Ok(out)
    }
}
