use lr_probe::Reason;

use super::code::Code;
use super::scope::Scope;
use super::stop::{Result, Stop};
use super::storage::Storage;
use super::value::{At, Value};
use super::variant::guarded;
use crate::info::Language;
use crate::types::{Shape, Target};

impl Scope<'_> {
    /// What a smart pointer leads to or a wrapper holds; `None` of anything else.
    pub(crate) fn through(&self, value: &Value) -> Result<Option<Value>> {
        if let Some(pointer) = self.owned_pointer(value)? {
            return self.owned(&pointer).map(Some);
        }
        if let Some(held) = self.optional_value(value)? {
            return Ok(Some(held));
        }
        self.wrapped(value)
    }

    /// The pointer inside of a smart pointer.
    pub(crate) fn owned_pointer(&self, value: &Value) -> Result<Option<Value>> {
        let Some(name) = self.library_name(value)? else {
            return Ok(None);
        };
        let paths: &[&[&str]] = match (self.language_of(value), name.as_str()) {
            (Language::Cpp, "unique_ptr") => return self.unique_pointer(value),
            (Language::Cpp, "shared_ptr" | "__shared_ptr") => &[&["_M_ptr"], &["__ptr_"]],
            (Language::Cpp, "reference_wrapper") => &[&["_M_data"], &["__f_"]],
            (Language::Rust, "Rc" | "Arc") => &[&["ptr", "pointer"]],
            (Language::Rust, "Ref" | "RefMut") => &[&["value", "pointer"], &["value"]],
            (Language::Rust, "MutexGuard" | "RwLockWriteGuard") => &[&["lock"]],
            (Language::Rust, "RwLockReadGuard") => &[&["data", "pointer"], &["data"]],
            (Language::Rust, "NonNull") => &[&["pointer"]],
            _ => return Ok(None),
        };
        for path in paths {
            if let Some(pointer) = self.at_path(value, path)?
                && matches!(pointer.of.shape, Shape::Pointer { .. })
            {
                return Ok(Some(pointer));
            }
        }
        Ok(None)
    }

    /// The pointer of a `std::unique_ptr`, which is in one tuple with what deletes it.
    fn unique_pointer(&self, value: &Value) -> Result<Option<Value>> {
        let (Shape::Struct { die, .. }, At::Stored(storage)) = (&value.of.shape, &value.at) else {
            return Ok(None);
        };
        match self.info.first_of_pair(*die)? {
            Some((offset, of)) if matches!(of.shape, Shape::Pointer { .. }) => {
                self.inside(storage, offset, of).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// What the pointer of an owner leads to, behind the counts of its owners.
    fn owned(&self, pointer: &Value) -> Result<Value> {
        let Shape::Pointer { target, .. } = &pointer.of.shape else {
            return Err(Stop::unsupported(pointer.of.name.clone()));
        };
        let of = match target {
            Target::Void => return Err(Stop::unsupported("a pointer to nobody knows what")),
            target => self.info.target(target)?,
        };
        let behind = Value::memory(of, self.word(pointer)?);
        let name = self.library_name(&behind)?;
        let inner: &[&[&str]] = match name.as_deref() {
            Some("RcBox" | "RcInner") => &[&["value"]],
            Some("ArcInner") => &[&["data"]],
            Some("Mutex" | "RwLock") => &[&["data", "value"]],
            _ => return Ok(behind),
        };
        for path in inner {
            if let Some(value) = self.at_path(&behind, path)? {
                return Ok(value);
            }
        }
        Ok(behind)
    }

    /// What a wrapper holds.
    fn wrapped(&self, value: &Value) -> Result<Option<Value>> {
        let Some(name) = self.library_name(value)? else {
            return Ok(None);
        };
        let paths: &[&[&str]] = match (self.language_of(value), name.as_str()) {
            (Language::Rust, "Cell" | "RefCell" | "UnsafeCell" | "SyncUnsafeCell") => &[&["value"]],
            (Language::Rust, "Mutex" | "RwLock") => &[&["data"]],
            (Language::Rust, "ManuallyDrop") => &[&["value"]],
            (Language::Rust, "Pin") => &[&["__pointer"], &["pointer"]],
            (Language::Rust, "Wrapping" | "Saturating" | "Reverse" | "NonZero") => &[&["__0"]],
            (Language::Rust, name) if name.starts_with("Atomic") => {
                &[&["v", "value"], &["p", "value"]]
            }
            (Language::Cpp, name) if name == "atomic" || name.starts_with("__atomic") => &[
                &["_M_i"],
                &["_M_base", "_M_i"],
                &["_M_b", "_M_p"],
                &["__a_", "__a_value"],
            ],
            _ => return Ok(None),
        };
        for path in paths {
            if let Some(inner) = self.at_path(value, path)? {
                return Ok(Some(inner));
            }
        }
        Ok(None)
    }

    /// The number in a wrapper of one: an atomic, a cell.
    pub(crate) fn unwrapped(&self, value: Value) -> Result<Value> {
        let mut value = value;
        for _ in 0..super::value::MAX_REFERENCES {
            if value.of.is_scalar() {
                return Ok(value);
            }
            match self.wrapped(&value)? {
                Some(inner) => value = inner,
                None => return Ok(value),
            }
        }
        Ok(value)
    }

    /// Code that pushes whether a `std::optional` has a value.
    pub(crate) fn engaged(&self, value: &Value) -> Result<Option<Code>> {
        if self.library_name(value)?.as_deref() != Some("optional") {
            return Ok(None);
        }
        for path in [&["_M_payload", "_M_engaged"][..], &["__engaged_"]] {
            if let Some(flag) = self.at_path(value, path)? {
                return Ok(Some(self.word(&flag)?));
            }
        }
        Ok(None)
    }

    /// Code that pushes whether a `std::expected` has a value and not an error.
    pub(crate) fn has_value(&self, value: &Value) -> Result<Option<Code>> {
        if self.library_name(value)?.as_deref() != Some("expected") {
            return Ok(None);
        }
        for path in [&["_M_has_value"][..], &["__has_val_"]] {
            if let Some(flag) = self.at_path(value, path)? {
                return Ok(Some(self.word(&flag)?));
            }
        }
        Ok(None)
    }

    /// What a `std::optional` holds, which fails where there is nothing.
    fn optional_value(&self, value: &Value) -> Result<Option<Value>> {
        let Some(engaged) = self.engaged(value)? else {
            return Ok(None);
        };
        for path in [
            &["_M_payload", "_M_payload", "_M_value"][..],
            &["_M_payload", "_M_value"],
            &["__val_"],
        ] {
            if let Some(held) = self.at_path(value, path)?
                && let At::Stored(storage) = held.at
            {
                let storage: Storage = storage.behind(&guarded(engaged, Reason::OtherVariant));
                return Ok(Some(Value::stored(held.of, storage)));
            }
        }
        Ok(None)
    }

    fn at_path(&self, value: &Value, path: &[&str]) -> Result<Option<Value>> {
        let Shape::Struct { die, .. } = value.of.shape else {
            return Ok(None);
        };
        let At::Stored(storage) = &value.at else {
            return Ok(None);
        };
        match self.info.at_path(die, path)? {
            None => Ok(None),
            Some((offset, of)) => self.inside(storage, offset, of).map(Some),
        }
    }

    fn library_name(&self, value: &Value) -> Result<Option<String>> {
        match value.of.shape {
            Shape::Struct { die, .. } => Ok(self.info.library_name(die)?),
            _ => Ok(None),
        }
    }

    fn language_of(&self, value: &Value) -> Language {
        match value.of.shape {
            Shape::Struct { die, .. } => self.info.language(die.unit),
            _ => self.language,
        }
    }
}
