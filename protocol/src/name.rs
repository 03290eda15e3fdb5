use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A text that many events repeat: a file, a function, a thread. Copies share it, and so does what
/// one thread reads one after the other. On the wire it is a string.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Default for Name {
    fn default() -> Name {
        Name::from("")
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name(text.into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        Name(text.into())
    }
}

impl From<&String> for Name {
    fn from(text: &String) -> Name {
        Name(text.as_str().into())
    }
}

impl From<Arc<str>> for Name {
    fn from(text: Arc<str>) -> Name {
        Name(text)
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
        Ok(RECENT.with_borrow_mut(|recent| recent.share(text)))
    }
}

thread_local! {
    static RECENT: RefCell<Recent> = RefCell::default();
}

/// Names that were read last, each in the one place that its hash says: a stranger's choice of
/// names costs what it is worth, and memory is bounded.
#[derive(Default)]
struct Recent(Vec<Option<Name>>);

const RECENT_NAMES: usize = 256;
/// Longer ones are not kept for sharing.
const LONGEST_SHARED: usize = 256;

impl Recent {
    fn share(&mut self, text: &str) -> Name {
        if text.len() > LONGEST_SHARED {
            return Name::from(text);
        }
        self.0.resize(RECENT_NAMES, None);
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
        let place = &mut self.0[usize::try_from(hash).unwrap_or(0) % RECENT_NAMES];
        match place {
            Some(name) if *name == *text => name.clone(),
            _ => place.insert(Name::from(text)).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_read_again_are_shared() {
        let names: Vec<Name> = serde_json::from_str(r#"["a.c","b.c","a.c","a\n"]"#).unwrap();
        assert!(Arc::ptr_eq(&names[0].0, &names[2].0));
        assert_eq!(names[3], "a\n");
        assert_eq!(
            serde_json::to_string(&names).unwrap(),
            r#"["a.c","b.c","a.c","a\n"]"#
        );
        assert!(serde_json::from_str::<Name>("5").is_err());
    }

    #[test]
    fn however_many_there_are_each_is_itself() {
        for round in 0..2 {
            for number in 0..10 * RECENT_NAMES {
                let text = "x".repeat(number % 400) + &number.to_string();
                let read: Name = serde_json::from_str(&format!("{text:?}")).unwrap();
                assert_eq!(read, *text, "{round}");
            }
        }
        RECENT.with_borrow(|recent| assert_eq!(recent.0.len(), RECENT_NAMES));
    }
}
