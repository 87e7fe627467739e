//! The program file of an address space.

use alloc::sync::Arc;

use crate::error::Result;
use crate::fs::OpenFile;

/// A file that is being executed: nobody may open it for writing (`ETXTBSY`).
pub struct ExeFile {
    /// The file.
    pub file: Arc<OpenFile>,
}

impl ExeFile {
    /// Holds a file for execution. `ETXTBSY` if it is open for writing.
    pub fn new(file: Arc<OpenFile>) -> Result<Arc<ExeFile>> {
        file.inode.common().deny_write_access()?;
        Ok(Arc::new(ExeFile { file }))
    }
}

impl Drop for ExeFile {
    fn drop(&mut self) {
        self.file.inode.common().allow_write_access();
    }
}
