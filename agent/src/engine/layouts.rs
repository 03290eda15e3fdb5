use std::rc::Rc;

use super::trace::Render;

/// The forms in which an action's programs keep what they keep, by the number that the tracer
/// knows them by. Copies of a line in which an expression has the same type have one form, so that
/// their groups are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layouts {
    known: Vec<Rc<dyn Render>>,
}

impl Layouts {
    /// The number of a form, which may be new.
    pub(crate) fn number(&mut self, layout: &Rc<dyn Render>) -> u16 {
        let known = self.known.iter().position(|known| known.is_like(&**layout));
        let index = known.unwrap_or_else(|| {
            self.known.push(Rc::clone(layout));
            self.known.len() - 1
        });
        // A location has at most so many places.
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    pub(crate) fn get(&self, number: u16) -> Option<&dyn Render> {
        self.known.get(usize::from(number)).map(|layout| &**layout)
    }
}
