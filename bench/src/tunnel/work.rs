//! The two programs that the tunnel is for: a TCP server that swallows, gives and echoes, and a client that measures. Plain blocking
//! sockets, a thread for each.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{BACK, CPU, P50, P99, THERE};
use crate::{
    machine::Meter,
    options::TunnelOptions,
    payload::{self, Checksum},
    sample::{Findings, Settings, percentile},
};

/// What the client wants next: this byte, then how much as 64 bits in big-endian order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Request {
    /// The server reads so many bytes, and answers with their checksum.
    Swallow = b's',
    /// The server sends so many bytes.
    Give = b'g',
    /// The server sends back so many bytes, each as soon as it has come.
    Echo = b'e',
}

/// Starts the server, which serves for as long as this process lives.
///
/// # Errors
/// When it cannot listen.
pub(super) fn serve() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("server".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that fails shows at the client, which reports it.
            thread::spawn(move || answer(stream));
        }
    })?;
    Ok(address)
}

fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let block = payload::block();
    loop {
        let mut head = [0; 9];
        match stream.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            result => result?,
        }
        let [kind, count @ ..] = head;
        let count = u64::from_be_bytes(count);
        if kind == Request::Swallow as u8 {
            let checksum = swallow(&mut stream, count)?;
            stream.write_all(&checksum.to_be_bytes())?;
        } else if kind == Request::Give as u8 {
            give(&mut stream, &block, count)?;
        } else if kind == Request::Echo as u8 {
            let mut byte = [0];
            for _ in 0..count {
                stream.read_exact(&mut byte)?;
                stream.write_all(&byte)?;
            }
        } else {
            bail!("a request that is none");
        }
    }
}

fn swallow(stream: &mut impl Read, total: u64) -> Result<u64> {
    let (mut checksum, mut left, mut buffer) = (Checksum::default(), total, vec![0; READ]);
    while left > 0 {
        let wanted = usize::try_from(left).map_or(READ, |left| left.min(READ));
        let count = stream.read(&mut buffer[..wanted])?;
        ensure!(count > 0, "the connection ended {left} bytes too early");
        checksum.update(&buffer[..count]);
        left -= count as u64;
    }
    Ok(checksum.finish())
}

fn give(stream: &mut impl Write, block: &[u8], total: u64) -> Result<()> {
    let mut left = total;
    while left > 0 {
        let count = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        stream.write_all(&block[..count])?;
        left -= count as u64;
    }
    Ok(())
}

/// Measures one connection to `entrance`: there, back, and round trips, each after some that are not measured. `cpu_seconds` says what
/// the tunnel's ends have used so far.
///
/// # Errors
/// When the connection fails or stands still, or other bytes arrive than were sent.
pub(super) fn measure(
    entrance: SocketAddr,
    options: &TunnelOptions,
    cpu_seconds: impl Fn() -> Result<f64>,
) -> Result<Findings> {
    let mut stream = TcpStream::connect(entrance).context("nobody listens at the tunnel's entrance")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let block = payload::block();
    let total = options.size_mib << 20;
    let (expected, warm) = (payload::expected(&block, total), payload::expected(&block, WARM_UP));

    there(&mut stream, &block, WARM_UP, warm)?;
    let (cpu, meter) = (cpu_seconds()?, Meter::start());
    there(&mut stream, &block, total, expected)?;
    let (used_there, cpu_there) = (meter.read(), cpu_seconds()? - cpu);

    back(&mut stream, WARM_UP, warm)?;
    let (cpu, meter) = (cpu_seconds()?, Meter::start());
    back(&mut stream, total, expected)?;
    let (used_back, cpu_back) = (meter.read(), cpu_seconds()? - cpu);

    round_trips(&mut stream, options.requests / 10)?;
    let mut nanoseconds = round_trips(&mut stream, options.requests)?;

    let mut findings = Findings::new(Settings::new(), &used_there);
    let others = |cores: f64, cpu: f64, wall: f64| (cores - cpu / wall).max(0.0);
    // What the ends use is no other program's.
    findings.other_cores =
        Some(others(used_there.other_cores, cpu_there, used_there.wall_seconds).max(others(
            used_back.other_cores,
            cpu_back,
            used_back.wall_seconds,
        )));
    let size = options.size_mib as f64;
    findings
        .figure(THERE, size / used_there.wall_seconds)
        .figure(BACK, size / used_back.wall_seconds)
        .figure(CPU, (cpu_there + cpu_back) * 1024.0 / (2.0 * size));
    for (name, percent) in [(P50, 50), (P99, 99)] {
        let value = percentile(&mut nanoseconds, percent).context("no round trips were measured")?;
        findings.figure(name, value as f64 / 1000.0);
    }
    Ok(findings)
}

fn ask(stream: &mut impl Write, request: Request, count: u64) -> Result<()> {
    let mut head = [request as u8; 9];
    head[1..].copy_from_slice(&count.to_be_bytes());
    Ok(stream.write_all(&head)?)
}

fn there(stream: &mut (impl Read + Write), block: &[u8], total: u64, expected: u64) -> Result<()> {
    ask(stream, Request::Swallow, total)?;
    give(stream, block, total)?;
    let mut checksum = [0; 8];
    stream.read_exact(&mut checksum).context("the server did not confirm")?;
    ensure!(u64::from_be_bytes(checksum) == expected, "other bytes arrived there than were sent");
    Ok(())
}

fn back(stream: &mut (impl Read + Write), total: u64, expected: u64) -> Result<()> {
    ask(stream, Request::Give, total)?;
    ensure!(swallow(stream, total)? == expected, "other bytes came back than were sent");
    Ok(())
}

/// What each round trip took, in nanoseconds.
fn round_trips(stream: &mut (impl Read + Write), count: u32) -> Result<Vec<u64>> {
    ask(stream, Request::Echo, count.into())?;
    let mut nanoseconds = Vec::with_capacity(count as usize);
    for number in 0..count {
        let [sent, ..] = number.to_le_bytes();
        let began = Instant::now();
        stream.write_all(&[sent])?;
        let mut came = [0];
        stream.read_exact(&mut came)?;
        nanoseconds.push(u64::try_from(began.elapsed().as_nanos())?);
        ensure!(came == [sent], "another byte came back");
    }
    Ok(nanoseconds)
}

/// Bytes that a receiver reads at a time, as in the other workloads.
const READ: usize = 64 << 10;

/// Bytes each way before those that are measured.
const WARM_UP: u64 = 16 << 20;

/// A connection that stands still for so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_arrives_short_or_changed_is_an_error() {
        let block = payload::block();
        let total = payload::BLOCK as u64 + 100;
        let expected = payload::expected(&block, total);
        let mut sent = Vec::new();
        give(&mut sent, &block, total).unwrap();
        // Behind the nine bytes of the request, which a cursor takes in the place of what it holds.
        let through = |bytes: &[u8]| {
            let mut stream = Cursor::new([&[0; 9], bytes].concat());
            back(&mut stream, total, expected)
        };
        assert!(through(&sent).is_ok());
        assert!(through(&sent[1..]).unwrap_err().to_string().contains("too early"));
        sent[12_345] ^= 1;
        assert!(through(&sent).unwrap_err().to_string().contains("other bytes"));
    }

    #[test]
    fn a_server_that_is_asked_for_nonsense_ends_the_connection() {
        let mut stream = TcpStream::connect(serve().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&[0; 9]).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}
