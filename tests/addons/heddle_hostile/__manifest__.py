{
    'name': 'Heddle: a hostile tenant',
    'summary': "Tries to leave its tenant in every way, and tells what happened",
    'version': '1.0',
    'author': 'Heddle',
    'license': 'Other OSI approved licence',
    'category': 'Hidden',
    'depends': ['base', 'web'],
    'installable': True,
}
