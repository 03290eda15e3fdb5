use std::collections::BTreeMap;
use std::ffi::OsString;

use lr_protocol::Linger;

use crate::client::Endpoint;

/// The arguments of the hidden verb that the agent process is started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct AgentArgs {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) server: Endpoint,
    pub(crate) linger: Linger,
    /// Standard input is where its standard output goes, once the ready line is written.
    pub(crate) has_output: bool,
}

/// Why the arguments are none. Only `launch` writes them, so that this is for developers.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ArgsError {
    #[error("unknown option `{0}`")]
    Unknown(String),
    #[error("`{0}` has no value, or one that cannot be used")]
    Value(&'static str),
}

/// The verb itself, which is not repeated in the arguments.
pub(crate) const VERB: &str = "agent-process";

const LEASE: &str = "lease:";
const UNTIL_DONE: &str = "until-done";
const ON_STDIN: &str = "stdin";
const UNTIL_DETACHED: &str = "until-detached";

impl AgentArgs {
    /// Decodes what [`AgentArgs::write`] wrote, without the program's name and the verb.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<AgentArgs, ArgsError> {
        let (mut pid, mut name, mut server, mut linger) = (None, None, None, None);
        let mut tags = BTreeMap::new();
        let mut has_output = false;
        let mut args = args.into_iter();
        while let Some(option) = args.next() {
            let option = option.to_string_lossy().into_owned();
            let value = args.next().and_then(|value| value.into_string().ok());
            match option.as_str() {
                "--pid" => pid = value.and_then(|text| text.parse().ok()),
                "--name" => name = value,
                "--server" => server = value.and_then(|text| Endpoint::parse(&text).ok()),
                "--linger" => linger = value.as_deref().and_then(linger_of),
                "--output" => has_output = value.as_deref() == Some(ON_STDIN),
                "--tag" => {
                    let text = value.ok_or(ArgsError::Value("--tag"))?;
                    let (key, value) = text.split_once('=').ok_or(ArgsError::Value("--tag"))?;
                    tags.insert(key.to_owned(), value.to_owned());
                }
                _ => return Err(ArgsError::Unknown(option)),
            }
        }
        Ok(AgentArgs {
            pid: pid.ok_or(ArgsError::Value("--pid"))?,
            name: name.ok_or(ArgsError::Value("--name"))?,
            tags,
            server: server.ok_or(ArgsError::Value("--server"))?,
            linger: linger.ok_or(ArgsError::Value("--linger"))?,
            has_output,
        })
    }

    /// With the verb. There is no secret in it: arguments can be read by every user.
    pub(crate) fn write(&self) -> Vec<String> {
        let linger = match &self.linger {
            Linger::Lease(lease) => format!("{LEASE}{lease}"),
            Linger::UntilDone => UNTIL_DONE.to_owned(),
            Linger::UntilDetached => UNTIL_DETACHED.to_owned(),
        };
        let mut args = vec![VERB.to_owned()];
        for (option, value) in [
            ("--pid", self.pid.to_string()),
            ("--name", self.name.clone()),
            ("--server", self.server.to_string()),
            ("--linger", linger),
        ] {
            args.extend([option.to_owned(), value]);
        }
        if self.has_output {
            args.extend(["--output".to_owned(), ON_STDIN.to_owned()]);
        }
        for (key, value) in &self.tags {
            args.extend(["--tag".to_owned(), format!("{key}={value}")]);
        }
        args
    }
}

fn linger_of(text: &str) -> Option<Linger> {
    match text.strip_prefix(LEASE) {
        Some(lease) => Some(Linger::Lease(lease.to_owned())),
        None => match text {
            UNTIL_DONE => Some(Linger::UntilDone),
            UNTIL_DETACHED => Some(Linger::UntilDetached),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(linger: Linger) -> AgentArgs {
        AgentArgs {
            pid: 17,
            name: "--orders =x".to_owned(),
            tags: BTreeMap::from([("env".to_owned(), "a=b".to_owned())]),
            server: Endpoint::parse("unix:/run/lr.sock").unwrap(),
            has_output: linger == Linger::UntilDone,
            linger,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let lease = Linger::Lease("abcd2345".to_owned());
        for linger in [Linger::UntilDone, Linger::UntilDetached, lease] {
            let args = example(linger);
            let written = args.write();
            assert_eq!(written[0], VERB);
            assert_eq!(
                AgentArgs::parse(written.into_iter().skip(1).map(OsString::from)),
                Ok(args)
            );
        }
    }

    fn check_refused(args: &[&str], expected: &ArgsError) {
        let result = AgentArgs::parse(args.iter().map(OsString::from));
        assert_eq!(result.as_ref(), Err(expected), "{args:?}");
    }

    #[test]
    fn what_is_missing_or_odd_is_named() {
        check_refused(&[], &ArgsError::Value("--pid"));
        check_refused(&["--pid", "x", "--name", "n"], &ArgsError::Value("--pid"));
        check_refused(&["--tag", "novalue"], &ArgsError::Value("--tag"));
        check_refused(
            &["--nonsense", "1"],
            &ArgsError::Unknown("--nonsense".to_owned()),
        );
    }
}
