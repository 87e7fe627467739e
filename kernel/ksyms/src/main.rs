//! From the linked kernel to the image that boots: `ksyms LINKED IMAGE`.
//!
//! The image has the same segments as the linked file, and nothing else (no debugging information, which
//! the boot loader would read for nothing), with a table of the kernel's function names as its last
//! segment, for backtraces. The table's form is described in `kernel/src/symbols.rs`.

mod elf;
mod table;

use std::process::ExitCode;

fn run(linked: &str, image: &str) -> Result<(), String> {
    let bytes = std::fs::read(linked).map_err(|e| format!("read {linked}: {e}"))?;
    let file = elf::File::parse(&bytes)?;
    let table = table::build(&file)?;
    let out = file.image_with(&table)?;
    std::fs::write(image, out).map_err(|e| format!("write {image}: {e}"))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, linked, image] = &args[..] else {
        eprintln!("usage: ksyms LINKED IMAGE");
        return ExitCode::from(2);
    };
    match run(linked, image) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ksyms: {error}");
            ExitCode::FAILURE
        }
    }
}
