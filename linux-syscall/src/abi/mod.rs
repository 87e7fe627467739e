//! Structures as user space lays them out on x86-64 (`linux/*.h`, `asm/*.h`), and constants
//! that several families share. Sizes are asserted.

mod fs;
mod ipc;
mod process;
mod socket;
mod time;

pub use fs::*;
pub use ipc::*;
pub use process::*;
pub use socket::*;
pub use time::*;

/// Declares `repr(C)` structures with their sizes in bytes.
#[macro_export]
macro_rules! abi {
    ($($(#[$doc:meta])* $name:ident[$size:literal] { $($field:ident: $ty:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        #[allow(missing_docs)]
        #[repr(C)]
        pub struct $name { $(pub $field: $ty,)* }
        const _: () = assert!(size_of::<$name>() == $size);
        impl Default for $name {
            fn default() -> Self { zerocopy::FromZeros::new_zeroed() }
        }
    )*};
}
