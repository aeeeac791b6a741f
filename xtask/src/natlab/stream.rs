//! Bytes that flow from one endpoint to the other while something happens to the network between them: none may be lost,
//! and the longest silence is measured.

use std::io::{Read as _, Write as _};
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::endpoint::Endpoint;
use super::namespace::Running;

/// Bytes written at a time, and how often: about 2 MB/s, which a slow machine carries too.
const CHUNK: usize = 20_000;
const PACE: Duration = Duration::from_millis(10);

/// How long all of it may take to arrive after the last byte was written.
const DRAIN: Duration = Duration::from_secs(30);

/// A stream that flows.
#[derive(Debug)]
pub(super) struct Flow {
    stop: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
    writer: JoinHandle<Result<u64>>,
    reader: JoinHandle<Result<Duration>>,
    _pipes: [Running; 2],
}

impl Flow {
    /// Starts one, and waits until it flows.
    pub(super) fn start(from: &Endpoint, to: &Endpoint) -> Result<Self> {
        let (waiting, output) = to.wait_for_pipe()?;
        let (sending, input) = from.pipe(&to.identity)?;
        let (stop, arrived) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writer = {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || write(input, &stop))
        };
        let reader = {
            let arrived = Arc::clone(&arrived);
            std::thread::spawn(move || read(output, &arrived))
        };
        let flow = Self { stop, arrived, writer, reader, _pipes: [sending, waiting] };
        flow.goes_on(Duration::from_secs(10)).context("the stream does not begin to flow")?;
        Ok(flow)
    }

    /// Waits until more has arrived, a megabyte of it.
    pub(super) fn goes_on(&self, limit: Duration) -> Result<()> {
        let (begin, before) = (Instant::now(), self.arrived.load(Ordering::Relaxed));
        while self.arrived.load(Ordering::Relaxed) < before + (1 << 20) {
            ensure!(begin.elapsed() < limit, "nothing more arrives for {limit:?}");
            std::thread::sleep(PACE);
        }
        Ok(())
    }

    /// Ends it; says what the longest silence was. All bytes must have arrived, in order and unchanged.
    pub(super) fn finish(self) -> Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let panicked = |_| anyhow!("a thread panicked");
        let written = self.writer.join().map_err(panicked)??;
        let begin = Instant::now();
        while !self.reader.is_finished() {
            ensure!(begin.elapsed() < DRAIN, "not all has arrived within {DRAIN:?}");
            std::thread::sleep(PACE);
        }
        let silence = self.reader.join().map_err(panicked)??;
        let arrived = self.arrived.load(Ordering::Relaxed);
        ensure!(written == arrived, "{written} bytes were written and {arrived} have arrived");
        Ok(silence)
    }
}

/// What stands at this place of every stream.
fn byte(at: u64) -> u8 {
    let [.., top] = at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    top
}

fn write(mut input: ChildStdin, stop: &AtomicBool) -> Result<u64> {
    let mut written = 0u64;
    while !stop.load(Ordering::Relaxed) {
        let chunk: Vec<u8> = (written..).take(CHUNK).map(byte).collect();
        input.write_all(&chunk).context("the stream was cut")?;
        written += u64::try_from(CHUNK)?;
        std::thread::sleep(PACE);
    }
    Ok(written)
}

fn read(mut output: ChildStdout, arrived: &AtomicU64) -> Result<Duration> {
    let mut buffer = vec![0; 1 << 16];
    let (mut at, mut last, mut silence) = (0u64, None::<Instant>, Duration::ZERO);
    loop {
        let length = output.read(&mut buffer)?;
        let now = Instant::now();
        silence = silence.max(last.map_or(Duration::ZERO, |last| now - last));
        last = Some(now);
        let read = buffer.get(..length).unwrap_or_default();
        if read.is_empty() {
            return Ok(silence);
        }
        ensure!(read.iter().zip(at..).all(|(found, place)| *found == byte(place)), "bytes differ after {at}");
        at += u64::try_from(length)?;
        arrived.store(at, Ordering::Relaxed);
    }
}
