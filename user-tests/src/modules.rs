//! Modules that Debian's Linux needs for what the tests ask of it, where its image does not have it built in.

use crate::cpio::Archive;
use crate::project;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Below `lib/modules/RELEASE/kernel`, in the order in which they are loaded, with their parameters.
const MODULES: &[(&str, &str)] = &[
    ("net/llc/llc.ko", ""),
    ("net/802/stp.ko", ""),
    ("net/bridge/bridge.ko", ""),
    ("drivers/net/veth.ko", ""),
    ("drivers/net/dummy.ko", "numdummies=0"),
    ("drivers/net/tun.ko", ""),
    ("drivers/virtio/virtio_ring.ko", ""),
    ("drivers/virtio/virtio.ko", ""),
    ("drivers/virtio/virtio_pci_modern_dev.ko", ""),
    ("drivers/virtio/virtio_pci_legacy_dev.ko", ""),
    ("drivers/virtio/virtio_pci.ko", ""),
    ("net/core/failover.ko", ""),
    ("drivers/net/net_failover.ko", ""),
    ("drivers/net/virtio_net.ko", ""),
    ("net/ipv4/inet_diag.ko", ""),
    ("net/ipv4/tcp_diag.ko", ""),
    ("net/ipv4/udp_diag.ko", ""),
    ("net/unix/unix_diag.ko", ""),
    ("fs/overlayfs/overlay.ko", ""),
];

/// Puts them into `/modules` with a list, which `c/init.c` loads before the first test.
pub fn pack(archive: &mut Archive) -> Result<()> {
    archive.dir("modules", 0o755);
    let mut list = String::new();
    for (path, parameters) in MODULES {
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        archive.file(&format!("modules/{name}"), 0o644, &read(path)?);
        list += &format!("/modules/{name} {parameters}\n");
    }
    archive.file("modules/list", 0o644, list.as_bytes());
    Ok(())
}

/// One of them.
pub fn read(path: &str) -> Result<Vec<u8>> {
    project::read(&release_dir()?.join("kernel").join(path))
}

fn release_dir() -> Result<PathBuf> {
    let modules = project::target("linux/root/lib/modules");
    let mut releases =
        std::fs::read_dir(&modules).with_context(|| format!("{}: run scripts/setup", modules.display()))?;
    let release = releases.next().context("no modules of Debian's Linux")??;
    Ok(release.path())
}
