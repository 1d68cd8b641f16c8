"""From events and records to what a person sees: chat messages, HTML, tables, files to download.

Pure functions and one small runtime (:mod:`ui.desk`), none of which knows Gradio: ``app.py`` lays out the page and wires
these to it. Everything that comes from a model, a document or a user is escaped here, in one place (:mod:`ui.html`).
"""
