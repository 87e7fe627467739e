//! Builds the vDSO: user code that the kernel maps into every process, compiled from
//! `src/loader/vdso` with the C compiler.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// Compiler flags: position-independent, self-contained, nothing that needs a C library or SSE state.
const CFLAGS: &[&str] = &[
    "-O2",
    "-std=gnu11",
    "-m64",
    "-fPIC",
    "-shared",
    "-nostdlib",
    "-nostartfiles",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fcf-protection=none",
    "-fno-builtin",
    "-fvisibility=hidden",
    "-fasynchronous-unwind-tables",
    "-mno-sse",
    "-mno-mmx",
    "-Wall",
    "-Wextra",
    "-Wno-builtin-declaration-mismatch",
    "-Wno-unused-parameter",
    "-Wl,-soname=linux-vdso.so.1",
    "-Wl,--hash-style=both",
    "-Wl,--build-id=none",
    "-Wl,--eh-frame-hdr",
    "-Wl,-Bsymbolic",
    "-Wl,-z,max-page-size=4096",
    "-Wl,-z,noexecstack",
    "-Wl,--no-warn-rwx-segments",
];

fn main() {
    let source =
        PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src/loader/vdso");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    println!("cargo:rerun-if-changed={}", source.display());
    println!("cargo:rerun-if-env-changed=CC");
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    let image = out.join("vdso.so");
    let built = Command::new(&compiler)
        .args(CFLAGS)
        .arg("-Wl,-T")
        .arg(source.join("vdso.lds"))
        .arg(source.join("vdso.c"))
        .arg(source.join("note.S"))
        .arg("-o")
        .arg(&image)
        .status();
    match built {
        Ok(status) if status.success() => {}
        other => panic!("building the vDSO with `{compiler}` failed: {other:?}"),
    }
    // The symbol table that is not needed at run time stays out of the kernel.
    let stripped = Command::new("strip").arg("--strip-all").arg(&image).status();
    assert!(stripped.is_ok_and(|status| status.success()), "strip failed");
    let len = fs::metadata(&image).expect("it was just built").len();
    assert!(len <= 16384, "the vDSO has {len} bytes");
}
