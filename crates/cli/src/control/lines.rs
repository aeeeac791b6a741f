//! The lines of the control socket: requests, checked as on the command line, and what an endpoint answers.

use serde::{Deserialize as _, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::ends::Ends;
use crate::event::{ErrorObject, Event};
use crate::failure::Failure;
use crate::request::{HttpBody, MAX_MIB, Request, VERSION};

impl Request {
    /// Reads one line.
    ///
    /// # Errors
    /// [`Failure::Usage`], in words that do not repeat the line: there may be a secret in it.
    pub(super) fn from_line(line: &[u8]) -> Result<Self, Failure> {
        let value = serde_json::from_slice(line).map_err(|_| usage("not one JSON object on one line"))?;
        let Value::Object(mut object) = value else { return Err(usage("not a JSON object")) };
        match object.remove("v") {
            Some(version) if version == VERSION => {}
            Some(_) => return Err(usage("this endpoint speaks \"v\":1")),
            None => return Err(usage("\"v\":1 is missing")),
        }
        let request = Value::Object(object);
        Self::deserialize(request).map_err(|error| usage(&error.to_string()))?.checked()
    }

    /// The line for this request, with its end.
    ///
    /// # Errors
    /// Memory that cannot be written to, which does not happen.
    pub(super) fn to_line(&self) -> Result<Zeroizing<String>, Failure> {
        #[derive(Serialize)]
        struct Line<'a> {
            v: u64,
            #[serde(flatten)]
            request: &'a Request,
        }
        let line = serde_json::to_string(&Line { v: VERSION, request: self })
            .map_err(|error| Failure::Failed(format!("could not write JSON: {error}")))?;
        Ok(Zeroizing::new(line + "\n"))
    }

    /// The same limits as on the command line.
    fn checked(self) -> Result<Self, Failure> {
        match &self {
            Self::Ping { count: 0, .. } => Err(usage("`count` is at least 1")),
            Self::Invite { uses: 0, .. } => Err(usage("`uses` is at least 1")),
            Self::Send { files, .. } if files.is_empty() => Err(usage("`files` names nothing")),
            Self::Send { files, .. } if files.iter().any(|file| file.is_relative()) => {
                Err(usage("`files` are absolute paths"))
            }
            Self::BoxSend { text, file, .. } if text.is_some() == file.is_some() => {
                Err(usage("either `text` or `file`"))
            }
            Self::BoxSend { file: Some(file), .. } if file.is_relative() => {
                Err(usage("`file` is an absolute path"))
            }
            Self::Receive { folder, .. } if folder.is_relative() => {
                Err(usage("`folder` is an absolute path"))
            }
            Self::Forward { local, remote, reverse, .. } => {
                Ends::read(local, remote, *reverse).map(|_| self).map_err(|reason| usage(&reason))
            }
            Self::Http { paths, .. } if paths.is_empty() => Err(usage("`paths` names nothing")),
            Self::Http { paths, body: Some(HttpBody::Input), .. } if paths.len() > 1 => {
                Err(usage("a body from the connection is for one path"))
            }
            Self::Http { body: Some(HttpBody::File(file)), .. } if file.is_relative() => {
                Err(usage("`file` is an absolute path"))
            }
            Self::Perf { size_mib, .. } if !(1..=MAX_MIB).contains(size_mib) => {
                Err(usage("`size_mib` is from 1 to 1048576"))
            }
            _ => Ok(self),
        }
    }
}

fn usage(reason: &str) -> Failure {
    Failure::Usage(format!("not a request: {reason}"))
}

/// One line that an endpoint has sent.
#[derive(Debug)]
pub(super) enum Line {
    Event(Box<Event>),
    /// An object that this version of the program does not know.
    Unknown,
    Failed(Failure),
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub(super) fn read(line: &str) -> Result<Self, Failure> {
        let broken = |_| Failure::Failed("the endpoint has answered with something that is no JSON".into());
        let mut value: Value = serde_json::from_str(line).map_err(broken)?;
        if let Value::Object(object) = &mut value {
            object.remove("v");
            if object.contains_key("error") {
                let error = ErrorObject::deserialize(value).map_err(broken)?;
                return Ok(Self::Failed(Failure::from(error)));
            }
        }
        Ok(Event::deserialize(value).map_or(Self::Unknown, |event| Self::Event(Box::new(event))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;
    use crate::request::{LINK_LIMIT, Measure};
    use crate::secret::Secret;

    fn kind(line: &str) -> String {
        Request::from_line(line.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let request = Request::Perf {
            to: Some(Secret::from("bob".to_owned())),
            only: Some(Measure::Rtt),
            size_mib: 8,
            invite: false,
            progress: true,
        };
        let line = request.to_line().unwrap();
        assert!(line.starts_with(r#"{"v":1,"command":"perf","#) && line.ends_with("}\n"), "{}", *line);
        assert_eq!(Request::from_line(line.as_bytes()).unwrap(), request);
    }

    #[test]
    fn what_is_left_out_is_as_on_the_command_line() {
        let read = Request::from_line(br#"{"v":1,"command":"ping","to":"bob"}"#).unwrap();
        let to = Secret::from("bob".to_owned());
        assert_eq!(read, Request::Ping { to, count: 4, timeout: LINK_LIMIT });
    }

    #[test]
    fn anything_else_is_refused_in_words_that_do_not_repeat_it() {
        for line in [
            "",
            "\0",
            "[]",
            "{",
            r#""ping""#,
            r#"{"command":"status"}"#,
            r#"{"v":2,"command":"status"}"#,
            r#"{"v":"1","command":"status"}"#,
            r#"{"v":1}"#,
            r#"{"v":1,"command":"dance"}"#,
            r#"{"v":1,"command":"status","extra":1}"#,
            r#"{"v":1,"command":"ping"}"#,
            r#"{"v":1,"command":"ping","to":"bob","cuont":1}"#,
            r#"{"v":1,"command":"ping","to":"bob","count":0}"#,
            r#"{"v":1,"command":"ping","to":"bob","count":-1}"#,
            r#"{"v":1,"command":"ping","to":"bob","timeout_s":0}"#,
            r#"{"v":1,"command":"ping","to":"bob","timeout_s":1e300}"#,
            r#"{"v":1,"command":"perf","size_mib":0}"#,
            r#"{"v":1,"command":"perf","size_mib":1048577}"#,
            r#"{"v":1,"command":"status"}{"v":1,"command":"status"}"#,
        ] {
            let failure = Request::from_line(line.as_bytes()).unwrap_err();
            assert_eq!(failure.kind(), Kind::Usage, "{line}");
        }
        assert!(!kind(r##"{"v":1,"command":"ping","to":["link://a#secret"]}"##).contains("secret"));
        assert!(kind(r#"{"v":1,"command":"ping","to":"bob","cuont":1}"#).contains("cuont"));
    }
}
