//! Three people chat, one of whom comes late: `cargo run -p telemesh-chat --example room`.

#![allow(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;

use telemesh_channel::memory::{self, MemoryEndpoint};
use telemesh_chat::{Chat, Chats, Config, Event, escaped};
use telemesh_hashname::Hashname;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Endpoints in memory; over a network these are meshes.
    let endpoints = [1, 2, 3].map(|n| MemoryEndpoint::new(Hashname::from_bytes([n; 32])));
    let [alice_at, bob_at, carol_at] = &endpoints;
    memory::connect(alice_at, bob_at);
    memory::connect(bob_at, carol_at);

    let alice = Chats::start(alice_at.clone(), Config::new("alice".parse()?)).await?;
    let bob = Chats::start(bob_at.clone(), Config::new("bob".parse()?)).await?;
    let carol = Chats::start(carol_at.clone(), Config::new("carol".parse()?)).await?;

    let room = alice.create("lunch".parse()?).await?;
    room.invite(Hashname::from_bytes([2; 32])).await?;
    let at_bob = accept(&bob).await?;
    room.say("pizza?").await?;
    hear(&at_bob, "pizza?").await?;
    at_bob.say("pizza!").await?;

    // Carol comes late. The leader signs her join, and she gets the rest from whoever is there.
    room.invite(Hashname::from_bytes([3; 32])).await?;
    memory::connect(alice_at, carol_at);
    let at_carol = accept(&carol).await?;
    hear(&at_carol, "pizza!").await?;
    for message in at_carol.history(10).await? {
        println!("{}: {}", message.hashname.short(), escaped(&message.text.text));
    }
    println!("the same history everywhere: {}", at_carol.digest().await? == room.digest().await?);
    Ok(())
}

async fn accept(chats: &Chats) -> Result<Chat, Box<dyn Error>> {
    let invitation = chats.invitations().await?.next().await.ok_or("no invitation")?;
    println!("{} invites to {}", invitation.leader.short(), invitation.name);
    let chat = chats.accept(invitation.chat).await?;
    let mut events = chat.events().await?;
    while !chat.info().await?.joined {
        events.next().await.ok_or("the chat has ended")?;
    }
    Ok(chat)
}

/// Waits until a text is here.
async fn hear(chat: &Chat, text: &str) -> Result<(), Box<dyn Error>> {
    let mut events = chat.events().await?;
    while !chat.history(100).await?.iter().any(|message| message.text.text == text) {
        match events.next().await.ok_or("the chat has ended")? {
            Event::Refused { reason, .. } => println!("refused: {reason}"),
            _ => continue,
        }
    }
    Ok(())
}
