//! Memory: address spaces, faults, the page cache.
mod addr_space;
mod page_cache;
pub use addr_space::Mm;
pub use page_cache::PageCache;
