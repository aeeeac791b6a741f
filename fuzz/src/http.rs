//! Requests and responses as a peer may send them.

use telemesh_thtp::fuzz::read_message;

use crate::input::Input;

/// Whatever the bytes: they are read without harm, in pieces as well as at once, and a request that was taken is the same when
/// it is passed on.
pub fn thtp(data: &[u8]) {
    let mut input = Input::new(data);
    let request = input.flag();
    let piece = usize::from(input.byte()) + 1;
    let bytes = input.all();
    assert_eq!(read_message(bytes, piece, request), read_message(bytes, usize::MAX, request));
}
