use std::collections::{BTreeSet, HashMap, VecDeque};

use super::graph::Graph;

/// What a block is to one line of one function instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// Of another line.
    Outside,
    /// Of the line, but no statement begins here; or of what was inlined into the line.
    Inside,
    /// Of no line: it belongs to where control comes from. What comes from this line and from
    /// others is the line's to the former, and to the latter not.
    Neutral,
    /// Of the line, and may be bound.
    Statement {
        /// Copies of a statement have the same number, where the compiler tells copies of a
        /// statement from parts of it.
        copy_of: Option<u32>,
        /// Another line is passed right before, though no instruction of it is left.
        afresh: bool,
        /// Another line is passed right behind, at the same instruction.
        left: bool,
    },
    /// Where a call begins that was replaced by its callee's code. It is bound if no statement of
    /// the line is passed with it.
    Call,
    /// A statement of such a callee whose beginning is not known: the first one is.
    Callee,
}

/// Where a line is bound.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Choice {
    /// Blocks, in the order in which they are reached.
    pub(crate) bound: Vec<usize>,
    /// Bound blocks that control falls into from padding, and the address of that: it is passed
    /// once where the block itself is the head of a loop.
    pub(crate) instead: HashMap<usize, u64>,
    /// Bound blocks that are passed again while the line is not left: a loop within the line.
    pub(crate) repeats: Vec<usize>,
    /// Bound blocks whose code is another line's, and to which more than one way leads.
    pub(crate) shared: Vec<usize>,
    /// What became of the other blocks of the line.
    pub(crate) dropped: Vec<(usize, Fate)>,
}

/// Why a block is not bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// A pass that comes here has come, or will come, through another block.
    With(usize),
    /// The same for most passes.
    MostlyWith(usize),
    CleanUp,
}

/// Chooses blocks such that a pass over the line comes through one of them: a pass enters the
/// line from another one, in one iteration of the loops around it.
///
/// Blocks that `keeps_clean_up` are ordinary although only a panic or an exception reaches them.
pub(crate) fn choose(graph: &Graph, parts: &[Part], keeps_clean_up: bool) -> Choice {
    let mut parts = parts.to_vec();
    let mut choice = Choice::default();
    if !keeps_clean_up {
        for (index, part) in parts.iter_mut().enumerate() {
            if graph.blocks[index].cleans_up {
                if let Part::Statement { .. } = part {
                    choice.dropped.push((index, Fate::CleanUp));
                }
                *part = Part::Outside;
            }
        }
    }
    let order = Order::of(graph);
    let line = Line::new(graph, parts, &order);
    let candidates = line.met_first(|part| matches!(part, Part::Statement { .. }));
    let candidates = line.without_those_on_the_way(candidates, &mut choice);
    for candidate in candidates {
        match line.already_passed(candidate, &choice.bound) {
            Some(by) => choice.dropped.push((candidate, Fate::With(by))),
            None => choice.bound.push(candidate),
        }
    }
    let mut callees = line.met_first(|part| matches!(part, Part::Statement { .. } | Part::Callee));
    callees.retain(|&index| line.parts[index] == Part::Callee);
    let is_call = |index: &usize| line.parts[*index] == Part::Call;
    callees.extend(order.blocks().filter(is_call));
    for index in callees {
        if line.already_passed(index, &choice.bound).is_none()
            && !line.will_be_passed(index, &choice.bound)
        {
            choice.bound.push(index);
        }
    }
    line.drop_what_calls_begin(&mut choice);
    for &index in &choice.bound {
        if let Some(padding) = line.padding_before(index) {
            choice.instead.insert(index, padding);
            continue;
        }
        if line.inside_from(index, &choice.bound).repeats {
            choice.repeats.push(index);
        }
        if line.parts[index].is_left() && line.before[index].len() > 1 {
            choice.shared.push(index);
        }
    }
    let named: BTreeSet<usize> = choice.dropped.iter().map(|dropped| dropped.0).collect();
    for index in order.blocks() {
        let is_statement = matches!(line.parts[index], Part::Statement { .. });
        if is_statement && !named.contains(&index) && !choice.bound.contains(&index) {
            let by = line.last_before(index, &choice.bound);
            let by = by.or_else(|| choice.bound.first().copied());
            choice.dropped.extend(by.map(|by| (index, Fate::With(by))));
        }
    }
    choice
}

/// The blocks in reverse postorder: outside of loops, what comes before comes first.
struct Order(Vec<usize>);

impl Order {
    fn of(graph: &Graph) -> Order {
        let mut seen = vec![false; graph.blocks.len()];
        let mut postorder = Vec::new();
        // The entry is the first root and is to come first.
        for &root in graph.roots.iter().rev() {
            let mut open = vec![(root, 0)];
            if std::mem::replace(&mut seen[root], true) {
                continue;
            }
            while let Some((index, at)) = open.pop() {
                match graph.blocks[index].next.get(at) {
                    Some(&next) => {
                        open.push((index, at + 1));
                        if !std::mem::replace(&mut seen[next], true) {
                            open.push((next, 0));
                        }
                    }
                    None => postorder.push(index),
                }
            }
        }
        postorder.reverse();
        Order(postorder)
    }

    fn blocks(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    fn sort(&self, wanted: &BTreeSet<usize>) -> Vec<usize> {
        self.blocks()
            .filter(|index| wanted.contains(index))
            .collect()
    }
}

/// What is met inside of the line on the way from a block.
struct Inside {
    /// Other candidates.
    met: Vec<usize>,
    /// The line may be left without meeting one.
    leaves: bool,
    /// The block itself is met again.
    repeats: bool,
}

impl Part {
    /// Whether control is on another line behind it.
    fn is_left(self) -> bool {
        matches!(self, Part::Outside | Part::Statement { left: true, .. })
    }
}

/// The neutral blocks that are reached from `roots` and from blocks that are not neutral and are
/// `from`, through neutral ones only.
fn spread(
    graph: &Graph,
    parts: &[Part],
    roots: &[usize],
    from: impl Fn(Part) -> bool,
) -> Vec<bool> {
    let mut reached = vec![false; parts.len()];
    let mut open = roots.to_vec();
    for (index, part) in parts.iter().enumerate() {
        if *part != Part::Neutral && from(*part) {
            open.extend(&graph.blocks[index].next);
        }
    }
    while let Some(index) = open.pop() {
        if parts[index] == Part::Neutral && !std::mem::replace(&mut reached[index], true) {
            open.extend(&graph.blocks[index].next);
        }
    }
    reached
}

struct Line<'a> {
    graph: &'a Graph,
    parts: Vec<Part>,
    before: Vec<Vec<usize>>,
    order: &'a Order,
}

impl<'a> Line<'a> {
    fn new(graph: &'a Graph, mut parts: Vec<Part>, order: &'a Order) -> Line<'a> {
        let mut before = vec![Vec::new(); graph.blocks.len()];
        for (index, block) in graph.blocks.iter().enumerate() {
            for &next in &block.next {
                before[next].push(index);
            }
        }
        let from_others = spread(graph, &parts, &graph.roots, Part::is_left);
        let from_here = spread(graph, &parts, &[], |part| !part.is_left());
        for (index, part) in parts.iter_mut().enumerate() {
            if *part == Part::Neutral {
                *part = match (from_here[index], from_others[index]) {
                    (true, true) => Part::Neutral,
                    (true, false) => Part::Inside,
                    (false, _) => Part::Outside,
                };
            }
        }
        Line {
            graph,
            parts,
            before,
            order,
        }
    }

    /// The padding that is passed on the way into a block which is the head of a loop, if all
    /// other ways come from the line itself.
    fn padding_before(&self, index: usize) -> Option<u64> {
        let (into, back): (Vec<usize>, Vec<usize>) = self.before[index]
            .iter()
            .partition(|&&from| self.graph.blocks[from].padding.is_some());
        let [into] = into[..] else { return None };
        let reached = self.graph.reached(&[index], |at| at == into);
        let is_back = |&from: &usize| reached[from] && !self.is_from_others(from);
        (!back.is_empty() && back.iter().all(is_back) && !reached[into])
            .then_some(self.graph.blocks[into].padding)?
    }

    fn is_afresh(&self, index: usize) -> bool {
        matches!(self.parts[index], Part::Statement { afresh: true, .. })
    }

    fn is_inside(&self, index: usize) -> bool {
        !matches!(self.parts[index], Part::Outside | Part::Neutral)
    }

    /// Whether control may come from another line through a block.
    fn is_from_others(&self, index: usize) -> bool {
        !self.is_inside(index) || self.parts[index].is_left()
    }

    /// The blocks of some kind that are met first where the line is entered.
    fn met_first(&self, is_wanted: impl Fn(Part) -> bool) -> Vec<usize> {
        let mut found = BTreeSet::new();
        let mut seen = vec![false; self.parts.len()];
        let mut open: Vec<usize> = Vec::new();
        for index in 0..self.parts.len() {
            let entered = self.is_afresh(index)
                || self.graph.roots.contains(&index)
                || self.before[index]
                    .iter()
                    .any(|&from| self.is_from_others(from));
            if entered && self.is_inside(index) {
                open.push(index);
            }
        }
        while let Some(index) = open.pop() {
            if !self.is_inside(index) || std::mem::replace(&mut seen[index], true) {
                continue;
            }
            if is_wanted(self.parts[index]) {
                found.insert(index);
            } else {
                open.extend(&self.graph.blocks[index].next);
            }
        }
        self.order.sort(&found)
    }

    /// Leaves out candidates from which control goes on to another without leaving the line, as
    /// from the first test of a loop's condition to the others.
    fn without_those_on_the_way(&self, candidates: Vec<usize>, choice: &mut Choice) -> Vec<usize> {
        let mut kept = candidates;
        let mut at = 0;
        while at < kept.len() {
            let candidate = kept[at];
            let inside = self.inside_from(candidate, &kept);
            let Some(&met) = inside.met.first() else {
                at += 1;
                continue;
            };
            let (lost, fate) = if !inside.leaves {
                (candidate, Fate::With(met))
            } else if self.comes_again(met, candidate) || !self.comes_again(candidate, met) {
                // Neither choice is exact: a loop's own block is passed more often.
                (candidate, Fate::MostlyWith(met))
            } else {
                (met, Fate::MostlyWith(candidate))
            };
            choice.dropped.push((lost, fate));
            kept.retain(|&index| index != lost);
        }
        kept
    }

    fn inside_from(&self, from: usize, candidates: &[usize]) -> Inside {
        let mut inside = Inside {
            met: Vec::new(),
            leaves: self.graph.blocks[from].leaves,
            repeats: false,
        };
        if self.parts[from].is_left() {
            inside.leaves = true;
            return inside;
        }
        let mut seen = vec![false; self.parts.len()];
        let mut open: VecDeque<usize> = self.graph.blocks[from].next.iter().copied().collect();
        while let Some(index) = open.pop_front() {
            if self.parts[index] == Part::Outside || self.is_afresh(index) {
                inside.leaves = true;
            } else if index == from {
                inside.repeats = true;
            } else if !std::mem::replace(&mut seen[index], true) {
                if candidates.contains(&index) {
                    inside.met.push(index);
                    continue;
                }
                if self.parts[index].is_left() {
                    inside.leaves = true;
                    continue;
                }
                inside.leaves |= self.graph.blocks[index].leaves;
                open.extend(&self.graph.blocks[index].next);
            }
        }
        inside
    }

    /// Whether a block is met again without passing another one.
    fn comes_again(&self, index: usize, without: usize) -> bool {
        let from = &self.graph.blocks[index].next;
        self.graph.reached(from, |at| at == without)[index]
    }

    /// Whether each way to a block, and from it back to it, leads through a bound one: then that
    /// was the beginning of the pass. Copies of one statement are passes of their own.
    fn already_passed(&self, index: usize, bound: &[usize]) -> Option<usize> {
        let passes: Vec<usize> = bound
            .iter()
            .copied()
            .filter(|&by| !self.are_copies(by, index))
            .collect();
        let stops = |at: usize| passes.contains(&at);
        if passes.is_empty() {
            return None;
        }
        let mut from = self.graph.roots.clone();
        from.extend(self.graph.blocks[index].next.iter().copied());
        // A root that is bound stops at once, and the block itself need not be gone on from.
        if self.graph.reached(&from, |at| stops(at) || at == index)[index] {
            return None;
        }
        self.last_before(index, &passes)
    }

    /// Drops statements whose passes begin with a call that was bound after them.
    fn drop_what_calls_begin(&self, choice: &mut Choice) {
        for index in choice.bound.clone() {
            let others: Vec<usize> = choice
                .bound
                .iter()
                .copied()
                .filter(|&at| at != index)
                .collect();
            let calls = others
                .iter()
                .any(|&at| !matches!(self.parts[at], Part::Statement { .. }));
            let is_statement = matches!(self.parts[index], Part::Statement { .. });
            if calls
                && is_statement
                && let Some(by) = self.already_passed(index, &others)
            {
                choice.bound.retain(|&at| at != index);
                choice.dropped.push((index, Fate::With(by)));
            }
        }
    }

    fn are_copies(&self, a: usize, b: usize) -> bool {
        match (self.parts[a], self.parts[b]) {
            (
                Part::Statement {
                    copy_of: Some(a), ..
                },
                Part::Statement {
                    copy_of: Some(b), ..
                },
            ) => a == b,
            _ => false,
        }
    }

    /// The bound block that is met first when one goes back from a block.
    fn last_before(&self, index: usize, bound: &[usize]) -> Option<usize> {
        let mut seen = vec![false; self.parts.len()];
        let mut open: VecDeque<usize> = self.before[index].iter().copied().collect();
        while let Some(at) = open.pop_front() {
            if bound.contains(&at) {
                return Some(at);
            }
            if !std::mem::replace(&mut seen[at], true) {
                open.extend(&self.before[at]);
            }
        }
        None
    }

    /// Whether each way on from a block that comes to an end leads through a bound one.
    fn will_be_passed(&self, index: usize, bound: &[usize]) -> bool {
        let from = &self.graph.blocks[index].next;
        let reached = self.graph.reached(from, |at| bound.contains(&at));
        let ends = |(at, block): (usize, &super::graph::Block)| {
            reached[at] && !bound.contains(&at) && (block.leaves || at == index)
        };
        !bound.is_empty() && !self.graph.blocks.iter().enumerate().any(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::graph::Block;

    /// A graph from its edges, whose blocks with letters in `line` are statements of the line.
    /// Blocks without a way on leave the function.
    fn graph(edges: &[(usize, &[usize])]) -> Graph {
        let blocks = edges.iter().enumerate().map(|(index, (at, next))| {
            assert_eq!(index, *at);
            let mut block = Block::default();
            block.begin = index as u64;
            block.next = next.to_vec();
            block.leaves = next.is_empty();
            block
        });
        Graph {
            blocks: blocks.collect(),
            roots: vec![0],
        }
    }

    fn statement(copy_of: Option<u32>, afresh: bool) -> Part {
        Part::Statement {
            copy_of,
            afresh,
            left: false,
        }
    }

    fn parts(text: &str) -> Vec<Part> {
        let part = |letter: char| match letter {
            'L' => statement(None, false),
            'C' => statement(Some(1), false),
            'F' => statement(Some(1), true),
            'Z' => Part::Statement {
                copy_of: None,
                afresh: false,
                left: true,
            },
            'i' => Part::Inside,
            'c' => Part::Call,
            '0' => Part::Neutral,
            _ => Part::Outside,
        };
        text.chars().map(part).collect()
    }

    fn check(edges: &[(usize, &[usize])], line: &str, bound: &[usize]) -> Choice {
        let choice = choose(&graph(edges), &parts(line), false);
        let mut found = choice.bound.clone();
        found.sort_unstable();
        assert_eq!(found, bound, "{choice:?}");
        choice
    }

    #[test]
    fn a_statement_in_pieces_is_one_pass() {
        check(&[(0, &[1]), (1, &[2]), (2, &[3]), (3, &[])], ".L.L", &[1]);
        // Two arms, then the rest.
        let edges: &[(usize, &[usize])] =
            &[(0, &[1, 2]), (1, &[3]), (2, &[3]), (3, &[4]), (4, &[])];
        check(edges, ".LL.L", &[1, 2]);
    }

    #[test]
    fn a_for_header_is_passed_once_more_than_its_body() {
        // init, condition, body, increment, behind.
        let edges: &[(usize, &[usize])] =
            &[(0, &[1]), (1, &[2, 4]), (2, &[3]), (3, &[1]), (4, &[])];
        check(edges, "LL.L.", &[0, 3]);
        // A body on the same line is one pass.
        check(edges, "LLLL.", &[0]);
    }

    #[test]
    fn a_while_condition_is_bound_and_not_the_jump_to_it() {
        // jump, condition, body, behind.
        let edges: &[(usize, &[usize])] = &[(0, &[1]), (1, &[2, 3]), (2, &[1]), (3, &[])];
        let choice = check(edges, "LL..", &[1]);
        assert_eq!(choice.dropped, [(0, Fate::With(1))]);
        check(edges, "..L.", &[2]);
    }

    #[test]
    fn a_loop_that_is_entered_at_its_head_repeats() {
        let edges: &[(usize, &[usize])] = &[(0, &[1]), (1, &[1, 2]), (2, &[])];
        let choice = check(edges, ".L.", &[1]);
        assert_eq!(choice.repeats, [1]);
    }

    #[test]
    fn inner_loops_are_passes_of_their_own() {
        // The line before a loop and in it.
        let edges: &[(usize, &[usize])] = &[(0, &[1]), (1, &[2, 3]), (2, &[1]), (3, &[])];
        check(edges, "L.L.", &[0, 2]);
    }

    #[test]
    fn loops_with_two_entries_are_no_matter() {
        let edges: &[(usize, &[usize])] = &[(0, &[1, 2]), (1, &[2, 3]), (2, &[1, 3]), (3, &[])];
        check(edges, ".LL.", &[2]);
        check(edges, ".L..", &[1]);
    }

    #[test]
    fn copies_of_a_statement_are_passes() {
        let edges: &[(usize, &[usize])] = &[
            (0, &[1]),
            (1, &[2]),
            (2, &[3]),
            (3, &[4]),
            (4, &[0, 5]),
            (5, &[]),
        ];
        check(edges, ".C.C..", &[1, 3]);
        check(edges, ".L.L..", &[1]);
        // The loop's header left no instructions between the copies of its body.
        check(edges, ".CFF..", &[1, 2, 3]);
        check(edges, ".CCC..", &[1]);
    }

    #[test]
    fn inlined_calls_are_bound_where_nothing_else_is() {
        let edges: &[(usize, &[usize])] = &[(0, &[1]), (1, &[2]), (2, &[3]), (3, &[])];
        check(edges, ".ci.", &[1]);
        check(edges, ".cL.", &[2]);
        check(edges, ".Lc.", &[1]);
        // A way around the statement, which is passed with the call.
        check(
            &[(0, &[1]), (1, &[2, 3]), (2, &[3]), (3, &[])],
            ".cL.",
            &[1],
        );
        // Another way to it.
        check(
            &[(0, &[1, 2]), (1, &[2, 3]), (2, &[3]), (3, &[])],
            ".cL.",
            &[1, 2],
        );
    }

    #[test]
    fn code_of_no_line_belongs_to_where_it_is_reached_from() {
        let edges: &[(usize, &[usize])] = &[(0, &[1]), (1, &[2]), (2, &[1, 3]), (3, &[])];
        check(edges, "LL0.", &[0]);
        check(edges, ".L0.", &[1]);
        // The increment and the body lead to the condition through it.
        let edges: &[(usize, &[usize])] =
            &[(0, &[1]), (1, &[2]), (2, &[3, 4]), (3, &[1]), (4, &[])];
        let choice = check(edges, "L0L..", &[2]);
        assert_eq!(choice.dropped, [(0, Fate::With(2))]);
    }

    #[test]
    fn a_line_without_instructions_is_left_at_once() {
        let edges: &[(usize, &[usize])] = &[(0, &[1]), (1, &[2]), (2, &[1, 3]), (3, &[])];
        check(edges, "Z.L.", &[0, 2]);
        check(edges, "ZL..", &[0, 1]);
    }
}
