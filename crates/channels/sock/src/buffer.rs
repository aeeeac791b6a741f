//! One buffer per thread, through which everything passes that comes from a socket: thousands of connections at rest hold none.

use std::cell::Cell;

/// Bytes of the buffer.
pub(crate) const SIZE: usize = 256 << 10;

/// Lends this thread's buffer, or the first bytes of it. It is taken out meanwhile, so that whoever gets here in between makes
/// another one.
pub(crate) fn with_buffer<T>(size: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    }
    let mut buffer = BUFFER.take().unwrap_or_else(|| vec![0; SIZE].into());
    let result = work(buffer.get_mut(..size).unwrap_or_default());
    BUFFER.set(Some(buffer));
    result
}
