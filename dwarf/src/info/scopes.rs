use gimli::Range;

use super::Result;
use super::die::{Die, DieRef};
use super::units::Info;

/// What a scope is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NodeKind {
    Function,
    Inlined,
    Block,
}

/// A function, an inlined instance or a block: something that has addresses and names.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    /// Offset in the unit.
    pub(crate) die: usize,
    pub(crate) parent: Option<usize>,
    /// Index behind the last node inside this one.
    end: usize,
    /// In the compiler's order: the first one has the entry, cold parts follow.
    pub(crate) ranges: Vec<Range>,
}

impl Node {
    pub(crate) fn contains(&self, addr: u64) -> bool {
        self.ranges
            .iter()
            .any(|range| range.begin <= addr && addr < range.end)
    }

    /// Whether an address lies in another part than the one with the entry.
    pub(crate) fn is_cold(&self, addr: u64) -> bool {
        self.ranges
            .first()
            .is_some_and(|first| addr < first.begin || addr >= first.end)
    }
}

/// The scopes of one unit, in the order of its DIEs.
#[derive(Debug, Default)]
pub(crate) struct UnitScopes {
    nodes: Vec<Node>,
    /// `(begin, end, node)` of every function's ranges, ascending.
    functions: Vec<(u64, u64, usize)>,
    /// `(DIE, DIE of what it is declared in)` of functions, types and namespaces, ascending.
    parents: Vec<(usize, usize)>,
    /// The DIEs of variables at the top of the unit, ascending.
    variables: Vec<usize>,
}

impl UnitScopes {
    pub(crate) fn read(info: &Info<'_>, unit: usize) -> Result<UnitScopes> {
        let data = info.unit(unit)?;
        let mut scopes = UnitScopes::default();
        // DIEs that contain the current one: depth, offset, whether it names things, node.
        let mut open: Vec<(isize, usize, bool, Option<usize>)> = Vec::new();
        let mut entries = data.entries();
        while let Some(entry) = entries.next_dfs()? {
            let (depth, offset, tag) = (entry.depth(), entry.offset().0, entry.tag());
            while open.last().is_some_and(|last| last.0 >= depth) {
                scopes.close(open.pop().and_then(|last| last.3));
            }
            let names = is_naming(tag);
            let has_path = names || tag == gimli::DW_TAG_variable && scopes.is_static(&open);
            if has_path && let Some(parent) = open.iter().rev().find(|scope| scope.2) {
                scopes.parents.push((offset, parent.1));
            }
            if tag == gimli::DW_TAG_variable && depth == 1 {
                scopes.variables.push(offset);
            }
            let kind = match tag {
                gimli::DW_TAG_subprogram => Some(NodeKind::Function),
                gimli::DW_TAG_inlined_subroutine => Some(NodeKind::Inlined),
                gimli::DW_TAG_lexical_block
                | gimli::DW_TAG_try_block
                | gimli::DW_TAG_catch_block => Some(NodeKind::Block),
                _ => None,
            };
            let node = match kind {
                Some(kind) => {
                    let parent = match kind {
                        NodeKind::Function => None,
                        _ => open.iter().rev().find_map(|scope| scope.3),
                    };
                    let entry = entry.clone();
                    let at = DieRef { unit, offset };
                    scopes.push(info, kind, parent, &Die { at, entry })
                }
                None => None,
            };
            if entries
                .current()
                .is_some_and(gimli::DebuggingInformationEntry::has_children)
            {
                open.push((depth, offset, names, node));
            } else {
                scopes.close(node);
            }
        }
        while let Some(last) = open.pop() {
            scopes.close(last.3);
        }
        scopes.functions.sort_unstable();
        Ok(scopes)
    }

    /// Whether what stands here is outside of functions.
    fn is_static(&self, open: &[(isize, usize, bool, Option<usize>)]) -> bool {
        open.iter().all(|scope| scope.3.is_none())
    }

    fn push<'a>(
        &mut self,
        info: &Info<'a>,
        kind: NodeKind,
        parent: Option<usize>,
        die: &Die<'a>,
    ) -> Option<usize> {
        // A broken list of ranges costs its own scope only.
        let ranges = info.ranges(die).unwrap_or_default();
        // Declarations and abstract instances have no code; nor is there any inside them.
        if ranges.is_empty() && (kind == NodeKind::Function || parent.is_none()) {
            return None;
        }
        let index = self.nodes.len();
        if kind == NodeKind::Function {
            let spans = ranges.iter().map(|range| (range.begin, range.end, index));
            self.functions.extend(spans);
        }
        self.nodes.push(Node {
            kind,
            die: die.at.offset,
            parent,
            end: index + 1,
            ranges,
        });
        Some(index)
    }

    fn close(&mut self, node: Option<usize>) {
        if let Some(node) = node {
            self.nodes[node].end = self.nodes.len();
        }
    }

    #[cfg(test)]
    pub(super) fn of_size(bytes: usize) -> UnitScopes {
        UnitScopes {
            variables: Vec::with_capacity(bytes / size_of::<usize>() + 1),
            ..UnitScopes::default()
        }
    }

    /// About how many bytes of memory this takes.
    pub(super) fn size(&self) -> usize {
        let ranges = |node: &Node| node.ranges.capacity() * size_of::<Range>();
        self.nodes.capacity() * size_of::<Node>()
            + self.nodes.iter().map(ranges).sum::<usize>()
            + self.functions.capacity() * size_of::<(u64, u64, usize)>()
            + self.parents.capacity() * size_of::<(usize, usize)>()
            + self.variables.capacity() * size_of::<usize>()
    }

    /// All of them, in the order of the DIEs.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// Inlined instances that have code, with the scope that they are inlined into.
    pub(crate) fn inlined(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter_map(|(index, node)| {
            let has_code = node.kind == NodeKind::Inlined && !node.ranges.is_empty();
            Some((index, node.parent.filter(|_| has_code)?))
        })
    }

    /// Inlined instances inside a scope.
    pub(crate) fn inlined_in(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let inside = node + 1..self.nodes[node].end;
        inside.filter(|&inside| self.nodes[inside].kind == NodeKind::Inlined)
    }

    /// The node of a DIE.
    pub(crate) fn of_die(&self, offset: usize) -> Option<usize> {
        self.nodes
            .binary_search_by_key(&offset, |node| node.die)
            .ok()
    }

    /// The innermost scope at an address.
    pub(crate) fn innermost(&self, addr: u64) -> Option<usize> {
        let after = self
            .functions
            .partition_point(|function| function.0 <= addr);
        // Functions do not overlap, but identical ones may be folded to the same address.
        let function = self.functions[..after]
            .iter()
            .rev()
            .take(64)
            .find(|function| addr < function.1)?
            .2;
        let mut innermost = function;
        let (mut at, mut end) = (function + 1, self.nodes[function].end);
        while at < end {
            let node = &self.nodes[at];
            if node.kind != NodeKind::Function && node.contains(addr) {
                innermost = at;
                end = node.end;
                at += 1;
            } else if node.kind == NodeKind::Block && node.ranges.is_empty() {
                // A block without addresses of its own may hold an instance that has some.
                at += 1;
            } else {
                at = node.end;
            }
        }
        Some(innermost)
    }

    /// A scope and those around it up to its function, innermost first.
    pub(crate) fn outward(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(node), |&node| self.nodes[node].parent)
    }

    /// The innermost function or inlined instance that a scope is in.
    pub(crate) fn instance_of(&self, node: usize) -> usize {
        self.outward(node)
            .find(|&node| self.nodes[node].kind != NodeKind::Block)
            .unwrap_or(node)
    }

    /// The DIEs of variables at the top of the unit, in its order.
    pub(crate) fn variables(&self) -> &[usize] {
        &self.variables
    }

    /// The namespace, type or function that a DIE is declared in.
    pub(crate) fn parent_of(&self, offset: usize) -> Option<usize> {
        let index = self
            .parents
            .binary_search_by_key(&offset, |parent| parent.0)
            .ok()?;
        Some(self.parents[index].1)
    }
}

/// Whether a DIE's name is part of the names of what is in it.
fn is_naming(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_namespace
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_enumeration_type
            | gimli::DW_TAG_interface_type
            | gimli::DW_TAG_subprogram
    )
}
