//! Two people chat without a server; what is said while one is away waits in the other's box.
#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::sync::Arc;

use telemesh::chat::{BoxMailbox, Chats, Config, Event};
use telemesh::{Invite, Mesh, MeshBoxes as _, MeshChats as _};

/// Chats under this name. A program that stays gives both a store in a file.
async fn chats(mesh: &Mesh, name: &str) -> Result<Chats, Box<dyn std::error::Error>> {
    let boxes = mesh.boxes().start()?;
    let mailbox = Arc::new(BoxMailbox::new(&boxes)?);
    Ok(mesh.chats(Config::new(name.parse()?).mailbox(mailbox)).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let alice = telemesh::create(telemesh::generate_keys()?).await?;
    let bob = telemesh::create(telemesh::generate_keys()?).await?;
    bob.link(alice.invite(Invite::once())?.to_secret_string().as_str()).await?;
    let (of_alice, of_bob) = (chats(&alice, "alice").await?, chats(&bob, "bob").await?);

    let lunch = of_alice.create("lunch".parse()?).await?;
    lunch.invite(bob.hashname()).await?;
    let invitation = of_bob.invitations().await?.next().await.ok_or("the chats have ended")?;
    println!("bob is invited to {} by {}", invitation.name, invitation.leader.short());
    let theirs = of_bob.accept(invitation.chat).await?;
    let mut events = theirs.events().await?;

    lunch.say("the place at the corner, at noon?").await?;
    while let Some(event) = events.next().await {
        if let Event::Message(message) = event {
            println!("bob reads: {}", message.text.text);
            theirs.read(message.id).await?;
            break;
        }
    }
    println!("the same history at both: {}", lunch.digest().await? == theirs.digest().await?);
    Ok(())
}
