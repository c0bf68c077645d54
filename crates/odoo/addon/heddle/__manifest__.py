{
    'name': 'Heddle',
    'summary': "The host's guards; loaded server-wide, never installed",
    'version': '1.0',
    'author': 'Heddle',
    'license': 'Other OSI approved licence',
    'category': 'Hidden',
    'depends': ['base', 'web'],
    'installable': True,
    'auto_install': False,
}
