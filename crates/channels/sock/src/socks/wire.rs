//! The bytes of SOCKS5 (RFC 1928).

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::failure::SockError;
use crate::targets::{Host, Target};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const ASSOCIATE: u8 = 3;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Connect(Target),
    /// Datagrams, which the client sends from this port; 0 if it does not know yet.
    Associate {
        port: u16,
    },
}

/// What it is told (section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Succeeded = 0,
    Failed = 1,
    NotAllowed = 2,
    HostUnreachable = 4,
    Refused = 5,
    /// "TTL expired": what clients take for a target that did not answer.
    TimedOut = 6,
    UnknownCommand = 7,
    UnknownAddress = 8,
}

impl Reply {
    pub(super) fn of(error: &SockError) -> Self {
        match error {
            SockError::NotAllowed => Self::NotAllowed,
            SockError::Refused => Self::Refused,
            SockError::TimedOut => Self::TimedOut,
            SockError::Unreachable | SockError::NoAddress | SockError::NoRoute(_) => Self::HostUnreachable,
            _ => Self::Failed,
        }
    }
}

/// Reads the greeting, answers it, and reads the request. An inner error is to be told to the client.
///
/// # Errors
/// The connection fails, or the client does not speak SOCKS5: it is told nothing then, or that no method fits.
pub(super) async fn negotiate<S>(socket: &mut S) -> io::Result<Result<Command, Reply>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "not a SOCKS5 client");
    let [version, count] = array(socket).await?;
    if version != VERSION {
        return Err(strange());
    }
    let mut methods = vec![0; count.into()];
    socket.read_exact(&mut methods).await?;
    if !methods.contains(&NO_AUTHENTICATION) {
        socket.write_all(&[VERSION, NO_METHOD]).await?;
        return Err(strange());
    }
    socket.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
    let [version, command, reserved, form] = array(socket).await?;
    if version != VERSION || reserved != 0 {
        return Err(strange());
    }
    let host = match form {
        IPV4 => Ok(IpAddr::from(array::<4, _>(socket).await?).into()),
        IPV6 => Ok(IpAddr::from(array::<16, _>(socket).await?).into()),
        NAME => {
            let [length] = array(socket).await?;
            let mut name = vec![0; length.into()];
            socket.read_exact(&mut name).await?;
            host(&name).ok_or(Reply::UnknownAddress)
        }
        _ => return Ok(Err(Reply::UnknownAddress)),
    };
    let port = u16::from_be_bytes(array(socket).await?);
    Ok(match command {
        // The address is where the client sends from, which it mostly does not know; its connection says it better.
        ASSOCIATE => Ok(Command::Associate { port }),
        CONNECT => {
            host.and_then(|host| Target::new(host, port).map_err(|_| Reply::Failed)).map(Command::Connect)
        }
        _ => Err(Reply::UnknownCommand),
    })
}

/// Answers the request.
pub(super) async fn say<S: AsyncWrite + Unpin>(
    socket: &mut S,
    reply: Reply,
    bound: SocketAddr,
) -> io::Result<()> {
    let mut out = BytesMut::with_capacity(22);
    out.put_slice(&[VERSION, reply as u8, 0]);
    put_address(&mut out, bound.ip());
    out.put_u16(bound.port());
    socket.write_all(&out).await
}

async fn array<const N: usize, S: AsyncRead + Unpin>(socket: &mut S) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    socket.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn host(name: &[u8]) -> Option<Host> {
    let text = std::str::from_utf8(name).ok()?;
    // Some clients write IPv6 addresses in brackets where a name belongs.
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match bare {
        Some(bare) if bare.contains(':') => Host::parse(bare).ok(),
        Some(_) => None,
        None => Host::parse(text).ok(),
    }
}

fn put_address(out: &mut BytesMut, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            out.put_u8(IPV4);
            out.put_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            out.put_u8(IPV6);
            out.put_slice(&v6.octets());
        }
    }
}

/// The bytes are not a datagram of a SOCKS5 client, or only a fragment of one, which RFC 1928 lets a server drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a datagram of a SOCKS5 client")]
pub struct Malformed;

/// Where a client's datagram goes, and what is in it (section 7).
///
/// # Errors
/// [`Malformed`].
pub fn decode_datagram(mut bytes: Bytes) -> Result<(Target, Bytes), Malformed> {
    let reserved = bytes.try_get_u16().map_err(|_| Malformed)?;
    let fragment = bytes.try_get_u8().map_err(|_| Malformed)?;
    if reserved != 0 || fragment != 0 {
        return Err(Malformed);
    }
    let host = match bytes.try_get_u8().map_err(|_| Malformed)? {
        IPV4 => IpAddr::from(bytes.try_get_u32().map_err(|_| Malformed)?.to_be_bytes()).into(),
        IPV6 => IpAddr::from(bytes.try_get_u128().map_err(|_| Malformed)?.to_be_bytes()).into(),
        NAME => {
            let length = usize::from(bytes.try_get_u8().map_err(|_| Malformed)?);
            if length > bytes.len() {
                return Err(Malformed);
            }
            host(&bytes.split_to(length)).ok_or(Malformed)?
        }
        _ => return Err(Malformed),
    };
    let port = bytes.try_get_u16().map_err(|_| Malformed)?;
    Ok((Target::new(host, port).map_err(|_| Malformed)?, bytes))
}

/// A datagram for a client, with where it comes from.
pub fn encode_datagram(from: &Target, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(4 + 256 + 2 + data.len());
    out.put_slice(&[0, 0, 0]);
    match from.host() {
        Host::Address(address) => put_address(&mut out, *address),
        named => {
            let name = named.to_string();
            // No name is longer than its length can say.
            out.put_slice(&[NAME, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
            out.put_slice(name.as_bytes());
        }
    }
    out.put_u16(from.port());
    out.put_slice(data);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a client says and is told, and what was understood.
    async fn talk(said: &[u8]) -> (Vec<u8>, io::Result<Result<Command, Reply>>) {
        let (mut client, mut server) = tokio::io::duplex(1024);
        client.write_all(said).await.unwrap();
        client.shutdown().await.unwrap();
        let asked = negotiate(&mut server).await;
        drop(server);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        (told, asked)
    }

    fn request(command: u8, rest: &[u8]) -> Vec<u8> {
        [&[5, 1, 0, 5, command, 0][..], rest].concat()
    }

    #[tokio::test]
    async fn requests_are_understood_in_all_forms_of_address() {
        let name =
            |name: &str| [&[3, u8::try_from(name.len()).unwrap()][..], name.as_bytes(), &[1, 187]].concat();
        for (rest, target) in [
            (vec![1, 10, 0, 0, 1, 0, 22], "10.0.0.1:22"),
            ([&[4][..], &[0; 15], &[1, 0, 22]].concat(), "[::1]:22"),
            ([&[4][..], &[0; 10], &[255, 255, 127, 0, 0, 1, 0, 22]].concat(), "127.0.0.1:22"),
            (name("Bob.mesh"), "bob.mesh:443"),
            (name("127.1"), "127.0.0.1:443"),
            (name("[::1]"), "[::1]:443"),
        ] {
            let (told, asked) = talk(&request(1, &rest)).await;
            assert_eq!(told, [5, 0]);
            assert_eq!(asked.unwrap(), Ok(Command::Connect(target.parse().unwrap())));
        }
        let (_, asked) = talk(&request(3, &[1, 0, 0, 0, 0, 0, 9])).await;
        assert_eq!(asked.unwrap(), Ok(Command::Associate { port: 9 }));
    }

    #[tokio::test]
    async fn what_is_not_served_is_told_so() {
        for (said, reply) in [
            (request(2, &[1, 10, 0, 0, 1, 0, 22]), Reply::UnknownCommand),
            (request(1, &[2, 10, 0, 0, 1, 0, 22]), Reply::UnknownAddress),
            (request(1, &[3, 3, b'a', b' ', b'b', 0, 22]), Reply::UnknownAddress),
            (request(1, &[3, 2, 0xff, 0xfe, 0, 22]), Reply::UnknownAddress),
            (request(1, &[1, 10, 0, 0, 1, 0, 0]), Reply::Failed),
        ] {
            assert_eq!(talk(&said).await.1.unwrap(), Err(reply), "{said:?}");
        }
    }

    #[tokio::test]
    async fn whoever_speaks_something_else_is_told_nothing() {
        for said in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x04\x01\x00\x50\x0a\x00\x00\x01\x00", b"", b"\x05"] {
            let (told, asked) = talk(said).await;
            assert!(told.is_empty() && asked.is_err(), "{said:?}");
        }
        let (told, asked) = talk(&[5, 1, 2]).await;
        assert!(told == [5, 0xff] && asked.is_err(), "a password is not asked for");
    }

    #[test]
    fn fragments_and_other_strange_datagrams_are_dropped() {
        for bytes in [
            &[][..],
            &[0, 0, 1, 1, 10, 0, 0, 1, 0, 53, 9],
            &[0, 1, 0, 1, 10, 0, 0, 1, 0, 53, 9],
            &[0, 0, 0, 2, 10, 0, 0, 1, 0, 53, 9],
            &[0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 9],
            &[0, 0, 0, 3, 9, b'a', 0, 53],
            &[0, 0, 0, 1, 10, 0, 0, 1, 0],
        ] {
            assert_eq!(decode_datagram(Bytes::copy_from_slice(bytes)), Err(Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_datagram_is_read_as_it_was_written(bytes: Vec<u8>, data: Vec<u8>, octets: [u8; 16], port in 1u16..) {
            let target = Target::new(IpAddr::from(octets), port).unwrap();
            for target in [target, format!("host.name:{port}").parse().unwrap()] {
                let read = decode_datagram(encode_datagram(&target, &data)).unwrap();
                prop_assert_eq!(read, (target, Bytes::from(data.clone())));
            }
            if let Ok((target, data)) = decode_datagram(bytes.into()) {
                let read = decode_datagram(encode_datagram(&target, &data));
                prop_assert_eq!(read, Ok((target, data)));
            }
        }
    }
}
