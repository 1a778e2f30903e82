"""What every page has around it: name, style sheet, footer of the sidebar."""

from engine import __version__

NAME = "Vanishing Gradient Lab"
#: Pages that show, when a person comes back by the menu, what they showed before.
COME_BACK_TO = frozenset({"lab", "compare", "lessons", "runs", "theory"})
FOOTER = f"{NAME} {__version__}"


def _bars() -> str:
    """Eight bars, each shorter than the one before: a gradient on its way to layer 1."""
    heights = [26 * 0.72**bar for bar in range(8)]
    return "".join(
        f'<rect x="{2 + 6 * bar}" y="{30 - height:.1f}" width="4" height="{height:.1f}" rx="1"/>'
        for bar, height in enumerate(heights)
    )


#: The browser tab's picture. Not a named Material icon: the browser would ask a font server for it.
ICON = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 50 34"><g fill="#3b82d0">{_bars()}</g></svg>'
#: In a blue that reads on the light and on the dark sidebar.
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 216 34" width="216" height="34" role="img" '
    f'aria-label="{NAME}"><g fill="#3b82d0">{_bars()}</g>'
    '<text x="54" y="24" font-family="Segoe UI, Helvetica, Arial, sans-serif" font-size="16" '
    f'font-weight="600" textLength="160" lengthAdjust="spacingAndGlyphs" fill="#3b82d0">{NAME}</text></svg>'
)

#: What configuration cannot say. Train and Stop stay in sight while the sidebar scrolls; the
#: charts get the room of the wide margins; a chosen pill has a tick, not colour alone; captions, and
#: words of what is off or chosen, are dark enough for the last row; the keyboard's focus is seen.
STYLE = """
<style>
[data-testid="stMainBlockContainer"] { padding-left: 1.5rem; padding-right: 1.5rem; }
[data-testid="stMainBlockContainer"] > [data-testid="stVerticalBlock"] { gap: 0.6rem; }
[data-testid="stSidebarHeader"] { height: 3.25rem; margin-bottom: 0; padding-bottom: 0; }
[data-testid="stSidebarContent"] [data-testid="stVerticalBlock"] { gap: 0.55rem; }
[data-testid="stSidebarUserContent"] { padding: 0.25rem 0 1rem 0; }
[data-testid="stSidebar"] :has(.st-key-actions) { background-color: inherit; }
[data-testid="stLayoutWrapper"]:has(> .st-key-actions) {
  position: sticky; top: 0; z-index: 20;
  padding: 0.5rem 0 0.5rem 0;
}
:is(.st-key-remedies, .st-key-compare_remedies) button {
  min-height: 1.6rem; height: 1.6rem; padding: 0 0.55rem;
}
:is(.st-key-remedies, .st-key-compare_remedies) button p { font-size: 0.875rem; }
:is(.st-key-remedies, .st-key-compare_remedies) [aria-checked="true"]::before,
:is(.st-key-remedies, .st-key-compare_remedies) [aria-pressed="true"]::before,
:is(.st-key-remedies, .st-key-compare_remedies) [data-testid="stBaseButton-pillsActive"]::before {
  content: "\\2713"; margin-right: 0.3rem; font-weight: 700;
}
[data-testid="stSidebarContent"] [data-testid="stExpander"] summary { padding: 0.35rem 0.6rem; }
.st-key-actions [data-testid="stHorizontalBlock"] :is(button, [data-testid="stPopoverButton"]) {
  padding-left: 0.3rem; padding-right: 0.3rem;
}
.st-key-actions > [data-testid="stVerticalBlock"] { gap: 0.4rem; }
[data-testid="stPopoverBody"]:has([class*="st-key-steering_"]) {
  width: min(31rem, 94vw); min-width: 0; padding: 0.8rem 1rem;
}
[class*="st-key-steering_"] [data-testid="stVerticalBlock"] { gap: 0.35rem; }
.vgl-history { font-size: 0.92rem; border-collapse: collapse; }
.vgl-history :is(td, th) { padding: 0.2rem 1.2rem 0.2rem 0; text-align: left; vertical-align: top; }
.vgl-history .number { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
.st-key-profile button, .st-key-kind button, .st-key-axis button, .st-key-compare_view button { min-height: 2.5rem; }
.st-key-contrast p { font-size: 0.95rem; line-height: 1.4; }
.st-key-contrast [data-testid="stCaptionContainer"] p { font-size: 0.875rem; }
:is(.st-key-verdict, .st-key-rungs) table { font-size: 0.92rem; width: 100%; }
:is(.st-key-verdict, .st-key-rungs) :is(td, th) { padding: 0.3rem 0.6rem; line-height: 1.35; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p {
  color: inherit; opacity: 0.88;
}
[data-testid="stButtonGroup"] button[data-selected="true"] p, [data-testid="stSliderThumbValue"] { color: CanvasText; }
:is([data-testid="stWidgetLabel"], [data-testid="stPageLink-NavLink"])[disabled] p { color: CanvasText; opacity: 0.7; }
:is([data-testid="stSidebarNavLink"], [data-testid="stPageLink-NavLink"], [data-testid="stMain"]):focus-visible {
  outline: 2px solid CanvasText; outline-offset: -2px;
}
.st-key-lesson_bar [role="radiogroup"] { flex-wrap: wrap; }
.st-key-status button { min-height: 1.75rem; padding: 0; }
:is(.st-key-verdict, .st-key-rungs) { overflow-x: auto; }
@media (max-width: 640px) { /* a phone: what is said stands above what can be pressed */
  :is(.st-key-status_row, .st-key-status, .st-key-theory_head) { flex-wrap: wrap; }
  :is(.st-key-status_row, .st-key-status, .st-key-theory_head) > :first-child { flex: 1 1 100%; }
}
</style>
"""
