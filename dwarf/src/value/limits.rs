/// How much of a value is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Structures within structures, and pointers that are followed.
    pub depth: usize,
    /// Members of one structure.
    pub fields: usize,
    /// Elements of one array or container.
    pub items: usize,
    /// Bytes of one text.
    pub text: usize,
    /// Values in all variables of one frame.
    pub values: usize,
    /// Whether containers are shown as the structures that they are made of.
    pub raw: bool,
    /// Whether reasons name the lines at which a variable has a value: code is read for that.
    pub lines: bool,
}

impl Limits {
    /// For all that is in scope somewhere.
    pub const SCOPE: Limits = Limits {
        depth: 3,
        fields: 20,
        items: 100,
        text: 255,
        values: 4_000,
        raw: false,
        lines: false,
    };

    /// For what was asked for by name, and for cores, which wait for nobody.
    pub const WHOLE: Limits = Limits {
        depth: 5,
        fields: 100,
        items: 1024,
        text: 2048,
        values: 50_000,
        raw: false,
        lines: true,
    };
}
