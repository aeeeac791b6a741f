//! Cutting a run of datagrams into what the kernel takes in one call.
//!
//! Owns the order of things when the kernel takes less than was asked: segmentation offload refused half-way, a full socket
//! buffer, a datagram too long. The system call itself is behind [`Kernel`], so that tests can play a kernel that refuses.

use std::io;

use telemesh_transport::{MAX_DATAGRAM, SendError};

/// The kernel's side of sending to one destination.
pub(crate) trait Kernel {
    /// How many segments one call takes. Falls to 1 after the kernel has refused segmentation offload.
    fn max_segments(&self) -> usize;

    /// One system call: one datagram, or several of `segment_size` bytes of which the last may be shorter.
    fn send(&self, contents: &[u8], segment_size: Option<usize>) -> io::Result<()>;
}

/// Sends `contents` as datagrams of `segment_size` bytes in as few calls as possible.
pub(crate) fn send_run(kernel: &impl Kernel, contents: &[u8], segment_size: usize) -> Result<(), SendError> {
    // Neither a whole IP packet nor the kernel's 16-bit segment size has room for more.
    if segment_size > MAX_DATAGRAM {
        return Err(SendError::TooLarge);
    }
    // Only empty contents have segments of no bytes: they are one empty datagram.
    let segment_size = segment_size.max(1);
    let mut sent = 0;
    loop {
        let rest = contents.get(sent..).unwrap_or_default();
        let segments = kernel.max_segments().min(MAX_DATAGRAM / segment_size).max(1);
        let run = rest.get(..segments * segment_size).unwrap_or(rest);
        let offloaded = run.len() > segment_size;
        match kernel.send(run, offloaded.then_some(segment_size)) {
            Ok(()) => sent += run.len(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(SendError::Blocked { sent });
            }
            // The device turned out not to do segmentation offload; the same bytes go out one datagram at a time.
            Err(_) if offloaded && kernel.max_segments() == 1 => continue,
            Err(error) => return Err(classify(error)),
        }
        if sent >= contents.len() {
            return Ok(());
        }
    }
}

/// Whose fault a failed system call is: the datagram's, the destination's, or neither.
fn classify(error: io::Error) -> SendError {
    use io::ErrorKind as Kind;
    if quinn_udp::is_msg_size_err(&error) {
        return SendError::TooLarge;
    }
    match error.kind() {
        Kind::NetworkUnreachable
        | Kind::HostUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable
        | Kind::PermissionDenied
        | Kind::ConnectionRefused
        | Kind::ConnectionReset => SendError::Unreachable(error),
        _ => SendError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// A kernel that notes each call and refuses what the test tells it to.
    struct Scripted {
        max_segments: Cell<usize>,
        /// Calls as (bytes, segment size).
        calls: RefCell<Vec<(usize, Option<usize>)>>,
        /// Which call fails, and how.
        failure: Option<(usize, io::ErrorKind)>,
        refuses_offload: bool,
    }

    impl Scripted {
        fn new(max_segments: usize) -> Self {
            Self {
                max_segments: Cell::new(max_segments),
                calls: RefCell::default(),
                failure: None,
                refuses_offload: false,
            }
        }
    }

    impl Kernel for Scripted {
        fn max_segments(&self) -> usize {
            self.max_segments.get()
        }

        fn send(&self, contents: &[u8], segment_size: Option<usize>) -> io::Result<()> {
            let call = self.calls.borrow().len();
            self.calls.borrow_mut().push((contents.len(), segment_size));
            if self.refuses_offload && segment_size.is_some() {
                self.max_segments.set(1);
                return Err(io::ErrorKind::InvalidInput.into());
            }
            match self.failure {
                Some((failing, kind)) if failing == call => Err(kind.into()),
                _ => Ok(()),
            }
        }
    }

    #[test]
    fn a_run_within_the_limits_is_one_call() {
        let kernel = Scripted::new(64);
        send_run(&kernel, &[0; 1_452 * 45], 1_452).unwrap();
        assert_eq!(*kernel.calls.borrow(), [(65_340, Some(1_452))]);
    }

    #[test]
    fn a_longer_run_is_cut_at_whole_segments() {
        let kernel = Scripted::new(64);
        send_run(&kernel, &[0; 1_452 * 50 + 7], 1_452).unwrap();
        assert_eq!(*kernel.calls.borrow(), [(65_340, Some(1_452)), (5 * 1_452 + 7, Some(1_452))]);

        let kernel = Scripted::new(64);
        send_run(&kernel, &[0; 100 * 65], 100).unwrap();
        assert_eq!(
            *kernel.calls.borrow(),
            [(6_400, Some(100)), (100, None)],
            "the last one alone needs no offload"
        );
    }

    #[test]
    fn an_empty_datagram_is_one_call() {
        let kernel = Scripted::new(64);
        send_run(&kernel, &[], 0).unwrap();
        assert_eq!(*kernel.calls.borrow(), [(0, None)]);
    }

    #[test]
    fn a_refused_offload_repeats_the_same_bytes_one_datagram_at_a_time() {
        let mut kernel = Scripted::new(64);
        kernel.refuses_offload = true;
        send_run(&kernel, &[0; 2_500], 1_000).unwrap();
        assert_eq!(*kernel.calls.borrow(), [(2_500, Some(1_000)), (1_000, None), (1_000, None), (500, None)],);
    }

    #[test]
    fn a_full_socket_buffer_says_how_much_went_out() {
        let mut kernel = Scripted::new(1);
        kernel.failure = Some((2, io::ErrorKind::WouldBlock));
        let error = send_run(&kernel, &[0; 2_500], 1_000).unwrap_err();
        assert!(matches!(error, SendError::Blocked { sent: 2_000 }), "{error:?}");
    }

    #[test]
    fn the_longest_datagram_passes_and_one_byte_more_does_not_reach_the_kernel() {
        let kernel = Scripted::new(64);
        send_run(&kernel, &[0; MAX_DATAGRAM], MAX_DATAGRAM).unwrap();
        assert_eq!(kernel.calls.borrow().len(), 1);
        let error = send_run(&kernel, &[0; MAX_DATAGRAM + 1], MAX_DATAGRAM + 1).unwrap_err();
        assert!(matches!(error, SendError::TooLarge), "{error:?}");
        assert_eq!(kernel.calls.borrow().len(), 1);
    }

    #[test]
    fn a_missing_route_is_the_destinations_fault_and_anything_unknown_is_nobodys() {
        let mut kernel = Scripted::new(1);
        kernel.failure = Some((0, io::ErrorKind::NetworkUnreachable));
        assert!(matches!(send_run(&kernel, &[0; 10], 10), Err(SendError::Unreachable(_))));
        let mut kernel = Scripted::new(1);
        kernel.failure = Some((0, io::ErrorKind::OutOfMemory));
        assert!(matches!(send_run(&kernel, &[0; 10], 10), Err(SendError::Io(_))));
    }
}
