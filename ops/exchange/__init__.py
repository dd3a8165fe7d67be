"""Schedules in and out as files: JSON, CSV, the customer's MySQL dump, crontab lines.

Each format has one small module that yields `Record`s; `fields` makes a form of each; `take` checks all
of them through `beat.schedule_form.check` and saves them in one transaction; `give` writes them out.
"""
