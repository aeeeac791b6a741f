//! The `stream` channel, between two endpoints in memory: any open message, and any bytes where values are expected.

use std::cell::LazyCell;

use bytes::Bytes;
use prost::Message;
use serde_json::Value;
use telemesh_channel::memory::pair;
use telemesh_channel::{ChannelKind, Open, Opener};
use telemesh_stream::{Encoding, IncomingStream, StreamAcceptor, TypedError};
use tokio::runtime::{Builder, Runtime};

use crate::input::Input;

/// A stream with these headers and this content is refused, or its messages are read one by one until their end.
pub fn stream(data: &[u8]) {
    let mut input = Input::new(data);
    let mut open = Open::decode(input.counted()).unwrap_or_else(|_| Open::reliable("stream"));
    open.kind = ChannelKind::Reliable;
    open.channel_type = "stream".to_owned();
    match input.byte() % 4 {
        0 => {}
        1 => open = open.with_header("encoding", Encoding::Binary.name()),
        2 => open = open.with_header("encoding", Encoding::Json.name()),
        _ => open = open.with_header("encoding", Encoding::Protobuf.name()),
    }
    if open.check().is_ok() {
        RUNTIME.with(|runtime| runtime.block_on(exchange(open, Bytes::copy_from_slice(input.all()))));
    }
}

/// Opens the stream, writes the content into it, and takes it on the other side.
async fn exchange(open: Open, content: Bytes) {
    let pair = pair();
    let Ok(mut streams) = pair.right.on_stream() else { panic!("nobody else takes streams") };
    let Ok(mut left) = pair.to_right.open(open.clone()).await else { panic!("the link is up") };
    let named = open.header("encoding").map(|name| std::str::from_utf8(name).unwrap_or("?").to_owned());
    let known = [Encoding::Binary, Encoding::Json, Encoding::Protobuf].map(Encoding::name);
    if named.as_deref().is_some_and(|name| !known.contains(&name)) {
        assert!(left.accepted().await.is_err(), "an encoding that nobody knows was accepted");
        return;
    }
    let Some(stream) = streams.next().await else { panic!("the stream was not taken") };
    assert_eq!((&stream.body, stream.encoding.map(Encoding::name)), (&open.body, named.as_deref()));
    let size = content.len();
    let write = tokio::spawn(async move {
        // The reader may have had enough before the end.
        let _ = left.write_chunk(content).await;
        let _ = left.finish().await;
    });
    let taken = take(stream).await;
    assert!(write.await.is_ok(), "the writer panicked");
    assert!(taken <= size, "more came out than went in");
}

/// Reads all there is, and gives the number of bytes that the messages had on their way.
async fn take(mut stream: IncomingStream) -> usize {
    let mut taken = 0;
    match stream.encoding {
        None => {
            while let Ok(Some(chunk)) = stream.channel.read_chunk().await {
                taken += chunk.len();
            }
        }
        Some(Encoding::Json) => {
            let Ok(mut values) = stream.json::<Value>() else { panic!("it says that it is JSON") };
            loop {
                match values.receive().await {
                    // Not compared: a number with a fraction may lose its last digit.
                    Ok(Some(value)) => assert!(value.to_string().parse::<Value>().is_ok()),
                    Err(TypedError::Decode(_)) => {}
                    Ok(None) | Err(_) => break,
                }
            }
        }
        Some(Encoding::Protobuf) => {
            let Ok(mut notes) = stream.protobuf::<Note>() else { panic!("it says that it is protobuf") };
            loop {
                match notes.receive().await {
                    Ok(Some(note)) => assert_eq!(Note::decode(&*note.encode_to_vec()), Ok(note)),
                    Err(TypedError::Decode(_)) => {}
                    Ok(None) | Err(_) => break,
                }
            }
        }
        Some(encoding) => {
            let Ok(mut messages) = stream.messages(encoding) else { panic!("it says what it is") };
            while let Ok(Some(message)) = messages.receive().await {
                taken += message.len() + 4;
            }
        }
    }
    taken
}

/// Some of everything that protobuf has.
#[derive(Clone, PartialEq, Message)]
struct Note {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(uint64, repeated, tag = "2")]
    numbers: Vec<u64>,
    #[prost(bytes = "bytes", tag = "3")]
    content: Bytes,
    #[prost(message, optional, boxed, tag = "4")]
    within: Option<Box<Note>>,
}

thread_local! {
    static RUNTIME: LazyCell<Runtime> = const {
        LazyCell::new(|| match Builder::new_current_thread().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("no runtime: {error}"),
        })
    };
}
