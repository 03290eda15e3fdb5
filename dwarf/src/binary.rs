use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::address::{FileAddr, LoadBias};
use crate::compile::{Compiled, Source};
use crate::error::{CompileError, CompileErrorKind, LoadError, LocateError, Part};
use crate::find::{self, DebugFiles, DebugInfo, SplitFiles};
use crate::flow::KnownFunctions;
use crate::image::{Flaw, Image, MappedPart, Segment};
use crate::index::{FileIndex, Index, IndexCache, NameIndex};
use crate::info::{Info, Language, ScopeCache, UnitMap};
use crate::inspect::Variable;
use crate::loader::Mapped;
use crate::location::Location;
use crate::place::{Place, Resolved};
use crate::symbols::{Symbol, Symbols};
use crate::types::Vtables;

/// An executable or shared object and its debug info.
///
/// Opening is cheap: nothing but headers is read. The index of functions is built by the first
/// lookup that needs it and kept.
#[derive(Debug)]
pub struct Binary {
    name: PathBuf,
    pub(crate) image: Image,
    /// A separate debug file whose build-id is the same.
    debug: Option<Image>,
    debug_info: DebugInfo,
    /// What debug files made by dwz share.
    shared: Option<Image>,
    split: SplitFiles,
    /// The symbols that a binary has packed up.
    mini: OnceLock<Option<Image>>,
    symbols: OnceLock<Symbols>,
    index: Index,
    pub(crate) scopes: ScopeCache,
    known_functions: OnceLock<KnownFunctions>,
    /// By the file's own index, and by all units.
    hinted_units: OnceLock<UnitMap>,
    all_units: OnceLock<UnitMap>,
    vtables: OnceLock<Vtables>,
    restartable: OnceLock<Vec<Range<u64>>>,
}

impl Binary {
    /// Reads an ELF file that the caller has opened; `name` is for messages and for what lies
    /// beside it. Separate debug info is looked for as this process sees it.
    pub fn open(file: File, name: &Path) -> Result<Binary, LoadError> {
        Binary::open_with(file, name, &DebugFiles::host())
    }

    /// The same with other places for separate debug info.
    pub fn open_with(
        file: File,
        name: &Path,
        debug_files: &DebugFiles,
    ) -> Result<Binary, LoadError> {
        Binary::with_image(read(&file, name)?, name, debug_files)
    }

    /// The same of a file that is in memory: the vDSO.
    pub fn from_bytes(
        bytes: Vec<u8>,
        name: &Path,
        debug_files: &DebugFiles,
    ) -> Result<Binary, LoadError> {
        let image = Image::read(Mapped::of_bytes(bytes), name)?;
        Binary::with_image(image, name, debug_files)
    }

    fn with_image(
        image: Image,
        name: &Path,
        debug_files: &DebugFiles,
    ) -> Result<Binary, LoadError> {
        let (mut debug, mut at) = (None, None);
        let debug_info = match image.has_debug_info() {
            true => DebugInfo::Own,
            false => match find::separate(&image, name, debug_files) {
                Ok(found) => {
                    debug = Some(found.image);
                    at = found.at;
                    DebugInfo::Separate { path: found.path }
                }
                Err(tried) => DebugInfo::Missing { tried },
            },
        };
        let with_info = debug.as_ref().unwrap_or(&image);
        let debug_file = at.as_ref().map(|(_, path)| path.as_path());
        let split = SplitFiles::new(name, debug_file, debug_files);
        let shared = find::shared(with_info, at.as_ref(), name, debug_files).unwrap_or_default();
        Ok(Binary {
            name: name.to_owned(),
            image,
            debug,
            debug_info,
            shared,
            split,
            mini: OnceLock::new(),
            symbols: OnceLock::new(),
            index: Index::default(),
            scopes: ScopeCache::default(),
            known_functions: OnceLock::new(),
            hinted_units: OnceLock::new(),
            all_units: OnceLock::new(),
            vtables: OnceLock::new(),
            restartable: OnceLock::new(),
        })
    }

    /// Keeps indexes on disk, where the binary has a build-id.
    #[must_use]
    pub fn with_cache(mut self, cache: IndexCache) -> Binary {
        self.index.cache = Some(cache);
        self
    }

    /// Whom to tell how far the reading of debug info is, in percent, where that takes more than
    /// half a second. Called on the thread that asked.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Fn(u8) + Send + Sync + 'static) -> Binary {
        self.index.progress = Some(Box::new(progress));
        self
    }

    pub fn name(&self) -> &Path {
        &self.name
    }

    pub fn build_id(&self) -> Option<&[u8]> {
        self.image.build_id.as_deref()
    }

    /// Whether lines, functions and variables are known: in the file, or in a separate debug file.
    pub fn has_debug_info(&self) -> bool {
        self.debug_image().has_debug_info()
    }

    /// Where debug info was found, or where it was looked for.
    pub fn debug_info(&self) -> &DebugInfo {
        &self.debug_info
    }

    /// Whether a thread that is stopped before the instruction of `len` bytes, or right behind it,
    /// would begin a restartable sequence (rseq(2)) anew: it is one's part, or leads into one.
    pub fn is_restartable(&self, addr: FileAddr, len: usize) -> bool {
        let sequences = self.restartable.get_or_init(|| self.image.restartable());
        let end = addr.0.saturating_add(len as u64);
        let is_hit = |sequence: &Range<u64>| addr.0 < sequence.end && end >= sequence.start;
        sequences.iter().any(is_hit)
    }

    /// What the file's executable `PT_LOAD` headers map.
    pub fn segments(&self) -> &[Segment] {
        &self.image.segments
    }

    /// What the loader added to its addresses, by one part of the file that is mapped; `None` where
    /// nothing of that part is loaded.
    pub fn load_bias(&self, part: &MappedPart) -> Option<LoadBias> {
        self.image.bias_of(part)
    }

    /// Whether everything that was read of its files so far was there. Whoever keeps or uses what
    /// was made of their bytes asks afterwards.
    pub fn is_whole(&self) -> bool {
        self.flaw().is_none()
    }

    /// An answer that was made of files that were not whole is none: for whoever used
    /// [`Binary::bytes_at`] or [`Binary::data_at`].
    pub fn whole(&self) -> Result<(), LocateError> {
        match self.flaw() {
            None => Ok(()),
            Some(Flaw::Changed { name }) => Err(LocateError::FileChanged { name }),
            Some(Flaw::Section { why }) => Err(LocateError::BadDebugInfo {
                name: self.name.display().to_string(),
                why,
            }),
        }
    }

    fn flaw(&self) -> Option<Flaw> {
        let images = [Some(&self.image), self.debug.as_ref(), self.shared.as_ref()];
        let split = self.split.images();
        images
            .into_iter()
            .flatten()
            .chain(split)
            .find_map(Image::flaw)
    }

    /// Bytes of an executable segment; `None` where the file has none.
    pub fn bytes_at(&self, addr: FileAddr, len: usize) -> Option<&[u8]> {
        self.image.code(addr, len)
    }

    /// Bytes of any segment as the file has them: read-only data too.
    pub fn data_at(&self, addr: FileAddr, len: usize) -> Option<&[u8]> {
        self.image.data(addr, len)
    }

    /// The function around an address by the symbol tables, which know those of assembly too.
    pub fn symbol_at(&self, addr: FileAddr) -> Option<Symbol<'_>> {
        let symbols = self.symbols();
        symbols.at(addr, &self.image, self.other_symbols())
    }

    /// The table of virtual functions around an address of a file's data.
    pub(crate) fn vtable_at(&self, addr: FileAddr) -> Option<Symbol<'_>> {
        let symbols = self.symbols();
        symbols.vtable(addr, &self.image, self.other_symbols())
    }

    /// The symbol whose address the dynamic linker puts into a slot of the file: what a call
    /// through the `.got` or the `.plt` reaches.
    pub fn import_at(&self, slot: FileAddr) -> Option<&str> {
        self.symbols().import(slot, &self.image)
    }

    /// Every function that the symbol tables know.
    pub(crate) fn functions(&self) -> impl Iterator<Item = Symbol<'_>> {
        let symbols = self.symbols();
        symbols.functions(&self.image, self.other_symbols())
    }

    /// Whether a name is that of a function that is chosen when the program starts.
    pub(crate) fn is_chosen(&self, name: &str) -> bool {
        let symbols = self.symbols();
        symbols.is_chosen(name, &self.image, self.other_symbols())
    }

    fn symbols(&self) -> &Symbols {
        self.symbols
            .get_or_init(|| Symbols::read(&self.image, self.other_symbols()))
    }

    /// What has symbols beside the binary's own tables: its debug file, else what is packed up in it.
    fn other_symbols(&self) -> Option<&Image> {
        let mini = || {
            self.mini
                .get_or_init(|| find::mini(&self.image, &self.name))
        };
        self.debug.as_ref().or_else(|| mini().as_ref())
    }

    /// The addresses that a location stands for, at least one, in ascending order.
    pub fn resolve(&self, location: &Location) -> Result<Vec<Place>, LocateError> {
        Ok(self.resolve_all(location)?.places)
    }

    /// The same, with the rows that are not bound and why.
    pub fn resolve_all(&self, location: &Location) -> Result<Resolved, LocateError> {
        let resolved = crate::resolve::resolve(self, location);
        self.whole()?;
        resolved
    }

    /// Whether a watch expression makes sense at a place: names, members and types are known
    /// there. What it is worth, [`crate::watch`] tells.
    pub fn check_watch(
        &self,
        place: &Place,
        bias: LoadBias,
        expression: &str,
    ) -> Result<(), CompileError> {
        crate::compile::check_watch(self, place, bias, expression)
    }

    /// Compiles a condition and a template for one place. A variable that has no value there is a
    /// reason in every event; a name that does not exist there is an error.
    pub fn compile(
        &self,
        place: &Place,
        bias: LoadBias,
        source: &Source<'_>,
    ) -> Result<Compiled, CompileError> {
        let compiled = crate::compile::compile(self, place, bias, source);
        let kind = match self.flaw() {
            None => return compiled,
            Some(Flaw::Changed { name }) => CompileErrorKind::FileChanged { name },
            Some(Flaw::Section { why }) => CompileErrorKind::BadDebugInfo { why },
        };
        Err(CompileError {
            part: Part::Template,
            column: 0,
            kind,
        })
    }

    /// The variables and parameters in scope at a place and where each lives there: those of the
    /// innermost scope first, then outward through the calls that were inlined to the function.
    pub fn variables(&self, place: &Place, bias: LoadBias) -> Result<Vec<Variable>, LocateError> {
        let variables = crate::inspect::variables(self, place, bias);
        self.whole()?;
        variables
    }

    /// Source files by name; the first call reads the headers of all line tables.
    pub(crate) fn files<'a>(&'a self, info: &Info<'a>) -> &'a FileIndex {
        self.index.files(self, info)
    }

    /// Functions, globals and types by name; the first call reads all debug info.
    pub(crate) fn names<'a>(&'a self, info: &Info<'a>) -> &'a NameIndex {
        self.index.names(self, info)
    }

    /// The types of Rust's vtables.
    pub(crate) fn vtables(&self, info: &Info<'_>) -> &Vtables {
        self.vtables.get_or_init(|| info.read_vtables())
    }

    /// Reads what values need of all units at once, where it is not known yet: the types of Rust's
    /// trait objects. It takes as long as the index of names, so it is to be called before a thread
    /// is held.
    pub fn prepare_values(&self) {
        let Ok(info) = Info::new(self) else {
            return;
        };
        if info
            .own_units()
            .any(|unit| info.language(unit) == Language::Rust)
        {
            self.vtables(&info);
        }
    }

    /// Functions that are known by their names; the first call reads the symbol tables.
    pub(crate) fn known_functions(&self) -> &KnownFunctions {
        self.known_functions
            .get_or_init(|| KnownFunctions::read(&self.image, self.debug_image()))
    }

    /// Units that may have an address, by the index that the file has for it.
    pub(crate) fn hinted_units(&self, info: &Info<'_>) -> &UnitMap {
        self.hinted_units.get_or_init(|| UnitMap::of_aranges(info))
    }

    /// The same by the units themselves; the first call reads the first DIE of each.
    pub(crate) fn all_units(&self, info: &Info<'_>) -> &UnitMap {
        self.all_units.get_or_init(|| UnitMap::of_units(info))
    }

    /// The file that has the debug info.
    pub(crate) fn debug_image(&self) -> &Image {
        self.debug.as_ref().unwrap_or(&self.image)
    }

    pub(crate) fn split_files(&self) -> &SplitFiles {
        &self.split
    }

    pub(crate) fn shared_image(&self) -> Option<&Image> {
        self.shared.as_ref()
    }
}

fn read(file: &File, name: &Path) -> Result<Image, LoadError> {
    let map = Mapped::new(file).map_err(|error| LoadError::Unreadable {
        name: name.display().to_string(),
        error,
    })?;
    Image::read(map, name)
}
