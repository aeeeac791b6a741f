//! `telemesh ping TO`: round trips over the link, one after the other.

use std::time::Duration;

use serde::Serialize;
use telemesh::{Link, Pong};

use crate::args::Ping;
use crate::context::Context;
use crate::failure::Failure;
use crate::target;

/// From one ping to the next.
const INTERVAL: Duration = Duration::from_millis(500);

/// One ping. `rtt_us` and `path` are null when it was not answered.
#[derive(Debug, Serialize)]
struct PingObject {
    seq: u32,
    rtt_us: Option<u64>,
    path: Option<String>,
}

/// Links to the other end and pings it.
pub(crate) async fn run(context: &Context, options: Ping) -> Result<(), Failure> {
    let to = target::read(&options.to)?;
    let (mesh, link) = context.dial(to, &[], options.timeout).await?;
    let mut answers = Vec::new();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for seq in 1..=options.count {
        ticks.tick().await;
        let pong = link.ping().await.ok();
        report(context, seq, &link, pong)?;
        answers.extend(pong.map(|pong| pong.rtt));
    }
    summary(context, options.count, &mut answers)?;
    context.finish(&mesh).await
}

fn report(context: &Context, seq: u32, link: &Link, pong: Option<Pong>) -> Result<(), Failure> {
    let output = &context.output;
    match &pong {
        Some(pong) => output.line(format_args!(
            "{} over {}: {:.3} ms",
            link.hashname().short(),
            pong.path,
            pong.rtt.as_secs_f64() * 1_000.0
        ))?,
        None => output.line(format_args!("{}: no answer", link.hashname().short()))?,
    }
    output.object(&PingObject {
        seq,
        rtt_us: pong.as_ref().map(|pong| u64::try_from(pong.rtt.as_micros()).unwrap_or(u64::MAX)),
        path: pong.map(|pong| pong.path.to_string()),
    })
}

fn summary(context: &Context, sent: u32, answers: &mut [Duration]) -> Result<(), Failure> {
    answers.sort_unstable();
    let (Some(least), Some(median), Some(most)) =
        (answers.first(), answers.get(answers.len() / 2), answers.last())
    else {
        return Err(Failure::Unreachable("no ping was answered".into()));
    };
    let ms = |time: &Duration| time.as_secs_f64() * 1_000.0;
    context.output.note(format_args!(
        "{} of {sent} answered; least {:.3} ms, median {:.3} ms, most {:.3} ms",
        answers.len(),
        ms(least),
        ms(median),
        ms(most)
    ));
    Ok(())
}
