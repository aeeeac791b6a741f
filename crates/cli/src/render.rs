//! Events for people, or as JSON lines for scripts.

use std::net::SocketAddr;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar};
use telemesh::Hashname;

use crate::event::{
    Contact, Door, Event, Explain, Happened, Id, Invited, Mapping, Noticed, OpenInvite, Perf, Ping, Status,
    UpDown,
};
use crate::failure::Failure;
use crate::output::Output;
use crate::request::Request;
use crate::session::Events;

/// Shows the events of one command.
#[derive(Debug)]
pub(crate) struct Renderer {
    output: Output,
    /// What to type at the other end of a command that waits.
    counterpart: Option<&'static str>,
    /// Turns until something happens.
    spinner: Option<ProgressBar>,
    /// The transfer that goes on.
    bar: Option<(String, ProgressBar)>,
    /// Pings sent, and the round trips of those that were answered.
    pings: (u32, Vec<Duration>),
}

impl Renderer {
    pub(crate) fn new(output: Output, request: &Request) -> Self {
        let counterpart = match request {
            Request::Pipe { to: None, .. } => Some("pipe"),
            Request::Perf { to: None, .. } => Some("perf"),
            Request::Receive { .. } => Some("send"),
            _ => None,
        };
        let spinner = request.to().map(|_| output.spinner("linking"));
        Self { output, counterpart, spinner, bar: None, pings: (0, Vec::new()) }
    }

    /// For the endpoint that stays up.
    pub(crate) fn of_endpoint(output: Output) -> Self {
        Self { output, counterpart: None, spinner: None, bar: None, pings: (0, Vec::new()) }
    }

    /// Shows what a session says, until it says nothing more.
    ///
    /// # Errors
    /// Nobody reads it.
    pub(crate) async fn run(&mut self, mut events: Events) -> Result<(), Failure> {
        while let Some(item) = events.recv().await {
            self.show(&item.event, None)?;
            if let Some(written) = item.written {
                // The command may be over already.
                let _ = written.send(());
            }
        }
        Ok(())
    }

    /// Shows one event; `line` is the object if it came as one.
    ///
    /// # Errors
    /// Nobody reads it.
    pub(crate) fn show(&mut self, event: &Event, line: Option<&str>) -> Result<(), Failure> {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        if self.output.is_json() {
            return match line {
                Some(line) => self.output.raw_object(line),
                None => self.output.object(event),
            };
        }
        match event {
            Event::Happened(happened) => self.happened(happened),
            Event::Ping(ping) => self.ping(ping),
            Event::Explain(explain) => self.explain(explain),
            Event::Status(status) => self.status(status),
            Event::Contact(contact) => self.contact(contact),
            Event::Invited(Invited { invite, open }) => {
                self.output
                    .note("Whoever has this link can use it until then; show it only to whom it is for:");
                if self.output.is_quiet() {
                    self.output.line(invite)?;
                } else {
                    self.output.line(format_args!("telemesh accept '{invite}'"))?;
                }
                self.output.qr(invite)?;
                self.output.note(open_invite(open));
                Ok(())
            }
            Event::OpenInvite(open) => self.output.line(open_invite(open)),
            Event::Id(id) => self.id(id),
            Event::Perf(perf) => self.perf(perf),
        }
    }

    /// An object that this version of the program does not know.
    ///
    /// # Errors
    /// Nobody reads it.
    #[cfg(unix)]
    pub(crate) fn show_unknown(&self, line: &str) -> Result<(), Failure> {
        if self.output.is_json() { self.output.raw_object(line) } else { Ok(()) }
    }

    /// The command has ended well.
    ///
    /// # Errors
    /// Nobody reads it.
    pub(crate) fn done(&mut self) -> Result<(), Failure> {
        self.end_bar();
        let (sent, answers) = &mut self.pings;
        answers.sort_unstable();
        if let (Some(least), Some(median), Some(most)) =
            (answers.first(), answers.get(answers.len() / 2), answers.last())
        {
            self.output.note(format_args!(
                "{} of {sent} answered; least {:.3} ms, median {:.3} ms, most {:.3} ms",
                answers.len(),
                ms(*least),
                ms(*median),
                ms(*most)
            ));
        }
        Ok(())
    }

    fn happened(&mut self, happened: &Happened) -> Result<(), Failure> {
        let output = &self.output;
        match happened {
            Happened::Ready { hashname, invite, addresses, .. } => match self.counterpart {
                Some(command) => return self.waits(command, invite.as_deref()),
                None => {
                    output.line(format_args!("up as {hashname}"))?;
                    for address in addresses {
                        output.line(format_args!("listening at {address}"))?;
                    }
                    if let Some(invite) = invite {
                        output.line(format_args!("telemesh accept '{invite}'"))?;
                    }
                }
            },
            Happened::Link { hashname, name, state: UpDown::Up, path, .. } => {
                let path = path.as_deref().unwrap_or("an unknown path");
                output.note(format_args!("linked with {} over {path}", who(hashname, name.as_deref())));
            }
            Happened::Link { hashname, name, state: UpDown::Down, reason, .. } => {
                let reason = reason.as_deref().unwrap_or("for an unknown reason");
                output.note(format_args!("{} is gone: {reason}", who(hashname, name.as_deref())));
            }
            Happened::Channel { hashname, name, r#type, accepted, reason } => {
                let who = who(hashname, name.as_deref());
                let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                let did = if *accepted { "opened" } else { "was refused" };
                output.note(format_args!("{who} {did} a channel of type {type}{reason}"));
            }
            Happened::Discovered { .. } => return self.discovered(happened),
            Happened::Progress { what, bytes, total, files, files_total } => {
                let files = files.zip(*files_total).filter(|(_, total)| *total > 1);
                self.progress(what, *bytes, *total, files);
            }
            Happened::Closed { delivered: true } => output.note("ended"),
            Happened::Closed { delivered: false } => {
                output.note("ended; not everything that was sent has been confirmed");
            }
            Happened::Reloaded { changes, restart } => {
                for change in changes {
                    output.line(change)?;
                }
                for change in restart {
                    output.line(format_args!("{change}: counts from the next start on"))?;
                }
                if changes.is_empty() && restart.is_empty() {
                    output.note("nothing has changed");
                }
            }
            Happened::Transfer { hashname, name, transfer, files, bytes } => {
                output.note(format_args!(
                    "{transfer}: {files} files, {}, with {}",
                    HumanBytes(*bytes),
                    who(hashname, name.as_deref())
                ));
            }
            Happened::Interrupted { transfer, reason } => {
                self.end_bar();
                self.output.note(format_args!(
                    "{transfer}: {reason}; what has arrived is kept, and it goes on from there"
                ));
            }
            Happened::Forwarding { .. } | Happened::Socks { .. } | Happened::NotForwarded { .. } => {
                return self.tunnel(happened);
            }
            Happened::Boxed { .. }
            | Happened::LeftFiles { .. }
            | Happened::Unread { .. }
            | Happened::Message { .. } => {
                return self.boxed(happened);
            }
            Happened::Gateway { address, contacts, .. } => return self.gateway(address, contacts),
            Happened::Transferred { .. } => return self.transferred(happened),
            _ => return self.chat(happened),
        }
        Ok(())
    }

    fn discovered(&self, happened: &Happened) -> Result<(), Failure> {
        let Happened::Discovered { hashname, name, via, paths, link } = happened else { return Ok(()) };
        let at = paths.join(", ");
        let what = match (via, name) {
            (Noticed::Introduction, _) => format!("asks for a link, through {at}"),
            (Noticed::Request, _) => format!("asks for a link, from {at}"),
            (Noticed::Network, Some(name)) => format!("is nearby, at {at}: {name}"),
            (Noticed::Network, None) => format!("is nearby, at {at}"),
        };
        self.output.line(format_args!("{hashname} {what}"))?;
        if name.is_none() {
            // With keys and addresses: a hashname alone is worth something only while the endpoint that has heard them is up.
            let link = telemesh::LinkUri::new(link.clone());
            self.output.note(format_args!("to trust it: telemesh contacts add NAME '{link}'"));
        }
        Ok(())
    }

    fn boxed(&self, happened: &Happened) -> Result<(), Failure> {
        let output = &self.output;
        match happened {
            Happened::Boxed { id, hashname, name, stage, bytes, .. } => {
                let who = who(hashname, name.as_deref());
                let size = bytes.map(|bytes| format!(", {}", HumanBytes(bytes))).unwrap_or_default();
                output.line(format_args!("to {who}{size}: {} ({id})", place(stage)))?;
            }
            Happened::LeftFiles { hashname, name, transfer, files, bytes, stage } => {
                let who = who(hashname, name.as_deref());
                output.line(format_args!(
                    "{transfer}: {files} files, {}, for {who}, who is away: it {}, and they get it with `telemesh receive`",
                    HumanBytes(*bytes),
                    place(stage)
                ))?;
            }
            Happened::Unread { id, hashname, name, bytes, .. } => {
                let who = who(hashname, name.as_deref());
                output.line(format_args!("from {who}, {}: not read ({id})", HumanBytes(*bytes)))?;
            }
            Happened::Message { hashname, name, text, base64, .. } => {
                output.note(format_args!("from {}:", who(hashname, name.as_deref())));
                // Among other lines of a terminal nobody's text may look like one of ours.
                let indent = if output.is_for_people() { "  " } else { "" };
                for line in text.as_deref().or(base64.as_deref()).unwrap_or_default().lines() {
                    output.line(format_args!("{indent}{line}"))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn tunnel(&self, happened: &Happened) -> Result<(), Failure> {
        let output = &self.output;
        match happened {
            Happened::Forwarding { hashname, name, protocol, listen, target, reverse } => {
                let of = format!(" of {}", who(hashname, name.as_deref()));
                let (there, here) = if *reverse { (&*of, "") } else { ("", &*of) };
                output.line(format_args!("{protocol} {listen}{there} leads to {target}{here}"))?;
                warn_of(output, listen);
            }
            Happened::Socks { listen } => {
                output.line(format_args!("SOCKS5 at {listen}"))?;
                warn_of(output, listen);
            }
            Happened::NotForwarded { target, reason } => output.note(format_args!("{target}: {reason}")),
            _ => {}
        }
        Ok(())
    }

    fn gateway(&self, address: &str, contacts: &[Door]) -> Result<(), Failure> {
        let output = &self.output;
        output.note(format_args!("The gateway listens at {address}, as long as this runs."));
        if contacts.is_empty() {
            output.note("There are no contacts yet that it could lead to.");
            return Ok(());
        }
        output.note("Each of these opens a browser's session; show them to nobody:");
        for Door { hashname, name, url } in contacts {
            output.line(format_args!("{:16} {url}", who(hashname, name.as_deref())))?;
        }
        Ok(())
    }

    /// A chat or an invitation, in a list. The rest is shown by `chat` itself, or by nobody.
    fn chat(&self, happened: &Happened) -> Result<(), Failure> {
        match happened {
            Happened::Chat { chat, room, leader, joined, unread, .. } => {
                let joined = if *joined { "" } else { ", not joined yet" };
                let leader = who(leader, None);
                self.output.line(format_args!("{room}  {chat}  led by {leader}, {unread} unread{joined}"))
            }
            Happened::Invited { chat, room, hashname, name } => {
                let by = who(hashname, name.as_deref());
                self.output.line(format_args!("{room}  {chat}  {by} invites you"))
            }
            _ => Ok(()),
        }
    }

    fn end_bar(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn transferred(&mut self, happened: &Happened) -> Result<(), Failure> {
        let Happened::Transferred {
            transfer,
            files,
            already_there,
            bytes,
            ms,
            missing,
            problems,
            renamed,
            ..
        } = happened
        else {
            return Ok(());
        };
        self.end_bar();
        let output = &self.output;
        for trouble in problems {
            output.note(format_args!("{}: {}", trouble.path, trouble.reason));
        }
        for trouble in renamed {
            output.note(format_args!("{} is called {} here", trouble.path, trouble.reason));
        }
        let more = missing.saturating_sub(u64::try_from(problems.len()).unwrap_or(u64::MAX));
        if more > 0 {
            output.note(format_args!("and {more} more"));
        }
        let there =
            if *already_there > 0 { format!(", {already_there} of them before") } else { String::new() };
        let missing = if *missing > 0 { format!("; {missing} entries are not") } else { String::new() };
        let seconds = Duration::from_millis(*ms).as_secs_f64();
        output.line(format_args!(
            "{transfer}: {files} files, {}, are there{there}{missing}; {seconds:.1} s",
            HumanBytes(*bytes)
        ))
    }

    fn waits(&self, command: &str, invite: Option<&str>) -> Result<(), Failure> {
        let output = &self.output;
        let Some(invite) = invite else {
            output.note("Waiting for one of your contacts. With --invite somebody else may come, too.");
            return Ok(());
        };
        output.note(
            "Waiting. Type this at the other end; whoever has the link may connect as long as this runs:",
        );
        output.note("");
        let rest = if command == "send" { " FILE…" } else { "" };
        output.line(format_args!("telemesh {command} '{invite}'{rest}"))?;
        output.note("");
        Ok(())
    }

    fn progress(&mut self, what: &str, bytes: u64, total: Option<u64>, files: Option<(u64, u64)>) {
        let bar = match self.bar.take() {
            Some((shown, bar)) if shown == what => bar,
            before => {
                if let Some((_, bar)) = before {
                    bar.finish_and_clear();
                }
                self.output.progress(total).with_message(crate::output::printable(what))
            }
        };
        if let Some((files, total)) = files {
            bar.set_message(crate::output::printable(&format!("{what} ({files} of {total} files)")));
        }
        bar.set_position(bytes);
        self.bar = Some((what.to_owned(), bar));
    }

    fn ping(&mut self, ping: &Ping) -> Result<(), Failure> {
        self.pings.0 += 1;
        let who = who(&ping.hashname, None);
        let Some(rtt) = ping.rtt_us else { return self.output.line(format_args!("{who}: no answer")) };
        let rtt = Duration::from_micros(rtt);
        self.pings.1.push(rtt);
        let path = ping.path.as_deref().unwrap_or("an unknown path");
        self.output.line(format_args!("{who} over {path}: {:.3} ms", ms(rtt)))
    }

    fn explain(&self, explain: &Explain) -> Result<(), Failure> {
        let output = &self.output;
        let reason = explain.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        output.line(format_args!(
            "{} is {}{reason}",
            who(&explain.hashname, explain.name.as_deref()),
            explain.state
        ))?;
        for path in &explain.paths {
            let mark = if path.in_use { '*' } else { ' ' };
            let rtt = path.rtt_us.map(|rtt| format!(", {:.3} ms", ms(Duration::from_micros(rtt))));
            let rtt = rtt.unwrap_or_default();
            output.line(format_args!("{mark} {:40} {}{rtt}: {}", path.path, path.state, path.why))?;
        }
        if explain.paths.is_empty() {
            output.line("  no path is known")?;
        }
        if let Some(birthday) = &explain.birthday {
            output.line(format_args!("  {birthday}"))?;
        }
        if explain.attempts_failed > 0 {
            output.line(format_args!("  {} attempts had no answer", explain.attempts_failed))?;
        }
        Ok(())
    }

    fn status(&self, status: &Status) -> Result<(), Failure> {
        let output = &self.output;
        output.line(format_args!("hashname   {}", status.hashname))?;
        output.line(format_args!("up         {}, process {}", span(status.uptime_s), status.process))?;
        for address in &status.addresses {
            output.line(format_args!("listening  {address}"))?;
        }
        match &status.mapping {
            Some(Mapping { address: Some(address) }) => {
                output.line(format_args!("gateway    {address} leads here"))?;
            }
            Some(Mapping { address: None }) => output.line("gateway    no way in")?,
            None => {}
        }
        let dropped: u64 = status.dropped.values().sum();
        output.line(format_args!("dropped    {dropped} packets without an answer"))?;
        for (reason, count) in status.dropped.iter().filter(|(_, count)| **count > 0) {
            output.line(format_args!("           {count} {reason}"))?;
        }
        if status.invites > 0 {
            output.line(format_args!("invites    {} open", status.invites))?;
        }
        if let Some(routing) = &status.routing {
            let forwarded = HumanBytes(routing.forwarded_bytes);
            output.line(format_args!(
                "router     {} circuits, {forwarded} forwarded; {} introductions, {} refused",
                routing.circuits, routing.introductions, routing.refused
            ))?;
        }
        if status.links.is_empty() {
            return output.line("links      none");
        }
        output.line("links")?;
        for link in &status.links {
            let who = who(&link.hashname, link.name.as_deref());
            let since = link.since_s.map(|since| format!(" for {}", span(since))).unwrap_or_default();
            let detail = match (&link.path, &link.reason) {
                (Some(path), None) => {
                    let rtt = link.rtt_us.map(|rtt| format!(", {:.3} ms", ms(Duration::from_micros(rtt))));
                    format!(" over {path}{}", rtt.unwrap_or_default())
                }
                (_, Some(reason)) => format!(": {reason}"),
                (None, None) => String::new(),
            };
            output.line(format_args!(
                "  {who:16} {}{since}{detail}; {} out, {} in",
                link.state,
                HumanBytes(link.sent_bytes),
                HumanBytes(link.received_bytes)
            ))?;
        }
        Ok(())
    }

    fn contact(&self, contact: &Contact) -> Result<(), Failure> {
        let name = contact.contact.as_deref().unwrap_or("(no name)");
        let grants = contact.grants.join(", ");
        let router = if contact.router { "; our router" } else { "" };
        self.output
            .line(format_args!("{name:16} {} {:10} {grants}{router}", contact.hashname, contact.state))?;
        match &contact.link {
            Some(link) => self.output.line(format_args!("{}", link.to_json())),
            None => Ok(()),
        }
    }

    fn id(&self, id: &Id) -> Result<(), Failure> {
        self.output.line(format_args!("hashname  {}", id.hashname))?;
        self.output.line(format_args!("uri       {}", id.uri))?;
        self.output.line(format_args!("link      {}", id.link.to_json()))?;
        self.output.qr(&id.uri)
    }

    fn perf(&mut self, perf: &Perf) -> Result<(), Failure> {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
        let output = &self.output;
        if let (Some(median), Some(slow)) = (perf.rtt_p50_us, perf.rtt_p99_us) {
            output.line(format_args!(
                "round trip  {median:.0} µs median, {slow:.0} µs at the 99th percentile"
            ))?;
        }
        if let (Some(both), Some(up), Some(down)) = (perf.throughput_mib_s, perf.up_mib_s, perf.down_mib_s) {
            output.line(format_args!("throughput  {both:.0} MiB/s: {up:.0} up, {down:.0} down"))?;
        }
        if let Some(rate) = perf.opens_per_s {
            output.line(format_args!("opens       {rate:.0} channels per second"))?;
        }
        output.line(format_args!("path        {}", perf.path.as_deref().unwrap_or("none")))
    }
}

/// Whoever listens elsewhere than on loopback should know for whom.
fn warn_of(output: &Output, listen: &str) {
    if !listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
        && !listen.starts_with("localhost:")
    {
        output.note(format_args!(
            "Everybody who can reach {listen} can use it, without being asked who they are."
        ));
    }
}

/// Where something is that waits for somebody.
fn place(stage: &str) -> &'static str {
    match stage {
        "kept" => "waits here for them or a cache",
        "cached" => "is with a cache",
        "arrived" => "is with their endpoint",
        _ => "was read",
    }
}

/// Whom people know under this name, or under the beginning of this hashname.
fn who(hashname: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => name.to_owned(),
        None => hashname
            .parse::<Hashname>()
            .map_or_else(|_| hashname.to_owned(), |hashname| hashname.short().to_string()),
    }
}

/// An invite in a line.
fn open_invite(invite: &OpenInvite) -> String {
    let name = invite.name.as_deref().map(|name| format!(" for {name}")).unwrap_or_default();
    let uses = if invite.uses == 1 { "once".to_owned() } else { format!("{} times", invite.uses) };
    let time = invite.expires_s.map_or_else(|| "for ever".to_owned(), |time| format!("for {}", span(time)));
    format!("invite {}{name}: {uses}, {time}; grants {}", invite.id, invite.grants.join(", "))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A time in its two largest units.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_their_two_largest_units() {
        assert_eq!(
            [0, 59, 61, 3_700, 90_000].map(span),
            ["0 s", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]
        );
    }
}
